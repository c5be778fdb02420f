import { type Static, Type } from '@sinclair/typebox'
import { idPattern } from '../ids.ts'

/** The version every document names. */
export const API_VERSION = 'rgrid.dev/v1'

const strict = { additionalProperties: false } as const

/** A name of a job or batch. */
export const Name = Type.String({
  pattern: '^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$',
  description: 'Letters, digits, ".", "_" and "-", at most 128, beginning and ending with a letter or digit.',
})

/** Free key/value pairs to find jobs by (`team: media`). */
export const Labels = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$' }),
  Type.String({ maxLength: 63, pattern: '^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$' }),
  { ...strict, maxProperties: 64, description: 'Free key/value pairs to find jobs by; keys and values of at most 63 characters.' },
)

/** What a secret of a project is called: what jobs ask for it by. */
export const SecretName = Type.String({
  pattern: '^[A-Za-z][A-Za-z0-9_-]{0,127}$',
  description: 'Letters, digits, "_" and "-", at most 128, beginning with a letter.',
})

const EnvValue = Type.Union([Type.String({ maxLength: 131_000 }), Type.Object({ secret: SecretName }, strict)])

/** Environment variables of the job: texts, and secrets of the project by their names. */
export const Env = Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }), EnvValue, {
  ...strict,
  maxProperties: 1000,
  description:
    'Environment variables: a text, or `{secret: NAME}` for a secret of the project (docs/SECRETS.md). Names beginning with RGRID_ are reserved. At most 512 KiB together with command and args.',
})
/** See the schema of the same name. */
export type Env = Static<typeof Env>

/** A file that is put into the work folder before the job starts: from a URL or an uploaded file. */
export const InputFile = Type.Object(
  {
    path: Type.String({ description: 'Where it appears, relative to the work folder.' }),
    url: Type.Optional(Type.String({ pattern: '^https?://', maxLength: 8192, description: 'An http(s) address it is fetched from, such as a presigned GET.' })),
    file: Type.Optional(Type.String({ pattern: idPattern('file'), description: 'The id of an uploaded file.' })),
    sha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$', description: 'Checked after the download.' })),
    executable: Type.Optional(Type.Boolean({ default: false, description: 'Gives the file the mode 0755 instead of 0644.' })),
  },
  strict,
)
/** See the schema of the same name. */
export type InputFile = Static<typeof InputFile>

/** A declared output. */
export const OutputFile = Type.Object(
  {
    path: Type.String({ description: 'A path, or for `glob` a pattern (`*`, `**`, `?`), relative to the work folder.' }),
    type: Type.Optional(
      Type.Union([Type.Literal('file'), Type.Literal('directory'), Type.Literal('glob')], {
        default: 'file',
        description: 'A declared file or folder that is missing at the end fails the job; a glob may match nothing.',
      }),
    ),
  },
  strict,
)
/** See the schema of the same name. */
export type OutputFile = Static<typeof OutputFile>

const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T, options: { default?: null; description: string }) =>
  Type.Union([schema, Type.Null()], options)

/** What a job runs, with what, and what happens when it fails: the `spec` of a Job document. */
export const Spec = Type.Object(
  {
    runtime: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 512,
        pattern: '^[A-Za-z0-9][A-Za-z0-9._/:@-]*$',
        description: 'A named runtime (`python:3.11`) or any image reference. Without it the extension of the script decides.',
      }),
    ),
    command: Type.Optional(
      Type.Array(Type.String({ maxLength: 131_000 }), {
        minItems: 1,
        maxItems: 4096,
        description: 'The program and its arguments, no shell. Optional with `code` or with an image that has its own entrypoint.',
      }),
    ),
    args: Type.Optional(Type.Array(Type.String({ maxLength: 131_000 }), { maxItems: 10_000, default: [], description: 'Appended to the command.' })),
    env: Type.Optional(Env),
    maskEnv: Type.Optional(
      nullable(Type.Array(Type.String({ maxLength: 1000 }), { maxItems: 1000 }), {
        default: null,
        description:
          'Variables of `env` whose values are masked in the log and wherever the job is shown. null: those whose names say so (`…_TOKEN`, `…_PASSWORD`, …); []: none.',
      }),
    ),
    code: Type.Optional(
      nullable(Type.String({ minLength: 1, maxLength: 1_048_576 }), {
        default: null,
        description: 'Inline source, written to the work folder as main.py (main.mjs, main.sh) and run when there is no command.',
      }),
    ),
    requirements: Type.Optional(
      nullable(Type.String({ maxLength: 65_536 }), { default: null, description: 'Python requirements in pip’s format, installed before the job starts.' }),
    ),
    files: Type.Optional(
      Type.Object(
        {
          inputs: Type.Optional(Type.Array(InputFile, { maxItems: 1000, default: [], description: 'Files that are there when the job starts.' })),
          outputs: Type.Optional(
            nullable(Type.Array(OutputFile, { maxItems: 1000 }), {
              default: null,
              description: 'Files to keep. Absent or null: everything new or changed in the work folder. []: none.',
            }),
          ),
        },
        strict,
      ),
    ),
    resources: Type.Optional(
      Type.Object(
        {
          cpu: Type.Optional(
            Type.Union([Type.String(), Type.Number()], {
              default: '1',
              description: 'CPUs: "1", "0.5", "500m"; 0.05 to 64. A job takes one slot for each CPU begun.',
            }),
          ),
          memory: Type.Optional(
            Type.Union([Type.String(), Type.Number()], {
              default: '512Mi',
              description: 'Memory: "512Mi", "2Gi"; 16Mi to 1Ti. More than that kills the job (`oom`).',
            }),
          ),
          disk: Type.Optional(
            Type.Union([Type.String(), Type.Number()], {
              default: '2Gi',
              description: 'Size of the work folder: 16Mi to 1Ti. Writing more gives "no space left on device".',
            }),
          ),
        },
        strict,
      ),
    ),
    timeoutSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400, default: 3600, description: 'The longest that the command may run.' })),
    prepareTimeoutSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400,
        default: 600,
        description: 'The longest that image, inputs and requirements may take. A node may allow less.',
      }),
    ),
    maxQueueSeconds: Type.Optional(
      nullable(Type.Integer({ minimum: 1, maximum: 2_592_000 }), {
        default: null,
        description: 'The longest that it may wait in the queue for a slot, each time; then it fails with the cause `queue_timeout`. null: for ever.',
      }),
    ),
    gracePeriodSeconds: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 300, default: 10, description: 'Between SIGTERM and SIGKILL when it is cancelled or runs too long.' }),
    ),
    network: Type.Optional(Type.Boolean({ default: false, description: 'Outbound network. Metadata, private and host addresses stay unreachable.' })),
    retries: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 100,
        default: 0,
        description: 'How often the job is run again after a failure of its own. Lost machines do not count.',
      }),
    ),
    backoff: Type.Optional(
      Type.Object(
        {
          initialSeconds: Type.Optional(Type.Number({ minimum: 0, maximum: 86_400, default: 1, description: 'The pause before the first retry.' })),
          factor: Type.Optional(Type.Number({ minimum: 1, maximum: 100, default: 2, description: 'Each further pause is this many times longer.' })),
          maxSeconds: Type.Optional(Type.Number({ minimum: 0, maximum: 86_400, default: 300, description: 'The longest pause.' })),
        },
        strict,
      ),
    ),
    retryOn: Type.Optional(
      Type.Object(
        {
          exitCodes: Type.Optional(
            nullable(Type.Array(Type.Integer({ minimum: 1, maximum: 255 }), { maxItems: 255 }), {
              default: null,
              description: 'The exit codes that are retried; null: each but 0.',
            }),
          ),
          oom: Type.Optional(Type.Boolean({ default: true, description: 'Whether running out of memory is retried.' })),
          timeout: Type.Optional(Type.Boolean({ default: true, description: 'Whether a timeout is retried.' })),
        },
        strict,
      ),
    ),
    priority: Type.Optional(Type.Integer({ minimum: -100, maximum: 100, default: 0, description: 'Higher starts first.' })),
    notBefore: Type.Optional(
      nullable(Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,9})?(Z|[+-]\\d\\d:\\d\\d)$', maxLength: 40 }), {
        default: null,
        description: 'The earliest start, an RFC 3339 time.',
      }),
    ),
    webhook: Type.Optional(
      nullable(Type.Object({ url: Type.String({ pattern: '^https?://', maxLength: 2048 }) }, strict), {
        default: null,
        description: 'An https address that is called, signed, when the job has ended; see docs/WEBHOOKS.md.',
      }),
    ),
  },
  strict,
)
/** See the schema of the same name. */
export type Spec = Static<typeof Spec>

/** The Job document: what a user submits. */
export const JobSpec = Type.Object(
  {
    apiVersion: Type.Optional(Type.Literal(API_VERSION, { default: API_VERSION })),
    kind: Type.Optional(Type.Literal('Job', { default: 'Job' })),
    metadata: Type.Optional(
      Type.Object(
        {
          name: Type.Optional(Name),
          project: Type.Optional(Type.String({ maxLength: 63, description: 'The project’s slug; optional where the address or the key already says it.' })),
          labels: Type.Optional(Labels),
        },
        strict,
      ),
    ),
    spec: Spec,
  },
  strict,
)
/** See the schema of the same name. */
export type JobSpec = Static<typeof JobSpec>
