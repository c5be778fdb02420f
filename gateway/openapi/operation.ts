/** What groups of operations are called, and what they are about. */
export const TAGS = {
  Jobs: 'Submit, list, read and cancel jobs.',
  Batches: 'One template, many jobs.',
  Files: 'Inputs and outputs: the bytes go straight to the object store and back.',
  Logs: 'Read, follow and search what jobs wrote.',
  Events: 'What happens to jobs and batches, as it happens.',
  Costs: 'What jobs cost, and what they are likely to.',
  Webhooks: 'Have events sent to an address, signed (https://www.standardwebhooks.com).',
  Projects: 'What jobs, keys and settings belong to.',
  Keys: 'API keys of a project.',
  Secrets: 'Values for jobs, and credentials of registries: written, never read.',
  Members: 'Who may do what.',
  Account: 'The account, who asks, and where one signs in.',
  Limits: 'What accounts and projects may use, and what they do use.',
  Audit: 'Who did what.',
  Nodes: 'The machines: what they ask, and what operators tell them.',
} as const

/** Examples by media type. */
export type Examples = Readonly<Record<string, unknown>>

/** What the document says of an operation besides its schemas and who may use it. */
export interface Operation {
  /** Unique; what generated clients call it. */
  id: string
  tag: keyof typeof TAGS
  description?: string
  /** Takes an `Idempotency-Key`. */
  idempotent?: true
  /** Examples of parameters, by name; those of `slug` and ids are known. */
  parameters?: Readonly<Record<string, unknown>>
  body?: Examples
  /** By status; {} where there is no body. */
  answers: Readonly<Record<number, Examples>>
}

/** An example in JSON. */
export const json = (value: unknown): Examples => ({ 'application/json': value })

/** Ids as examples show them, each of its own kind. */
export const EXAMPLE = {
  account: 'acc_01kb0x4m5f7q2t9v3w8y6z1d4a',
  project: 'proj_01kb0x4m5f7q2t9v3w8y6z1d4b',
  job: 'job_01kb0x4m5f7q2t9v3w8y6z1d4c',
  batch: 'batch_01kb0x4m5f7q2t9v3w8y6z1d4d',
  attempt: 'att_01kb0x4m5f7q2t9v3w8y6z1d4e',
  node: 'node_01kb0x4m5f7q2t9v3w8y6z1d4f',
  file: 'file_01kb0x4m5f7q2t9v3w8y6z1d4g',
  artifact: 'art_01kb0x4m5f7q2t9v3w8y6z1d4h',
  key: 'key_01kb0x4m5f7q2t9v3w8y6z1d4j',
  webhook: 'wh_01kb0x4m5f7q2t9v3w8y6z1d4k',
  user: 'user_01kb0x4m5f7q2t9v3w8y6z1d4m',
  secret: 'sec_01kb0x4m5f7q2t9v3w8y6z1d4n',
  sha256: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  delivery: 'whd_4711',
  cursor: 'djI6am9iczo0MQ',
} as const
