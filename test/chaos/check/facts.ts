/** What is known after a run, as plain data. Times are milliseconds since 1970, those of Postgres with their microseconds as a fraction. */
export interface Facts {
  jobs: JobFact[]
  attempts: AttemptFact[]
  batches: { id: string; parallel: number | null }[]
  nodes: { id: string; slots: number }[]
  /** What each submitted job was to do, by its id. */
  expected: Map<string, Expected>
  /** What jobs wrote down themselves while they ran, by `<job id>.<attempt number>`. */
  witnesses: Map<string, Witness>
  /** The standard output of each attempt as the API gives it, line by line, by attempt id. */
  logs: Map<string, string[]>
  events: EventFact[]
  /** The events of the stream in its order, repeats and all, as the messages say. */
  delivered: EventFact[]
  outboxRows: number
  /** The events that the receiver of webhooks wanted, those that came to it in their order, and what it found wrong. */
  webhooks: { events: HookFact[]; received: HookFact[]; faults: string[] }
  artifacts: ArtifactFact[]
  /** Attempts whose log is said to be archived, with the key of it. */
  archivedLogs: { attemptId: string; key: string }[]
  /** Everything in the bucket. */
  objectKeys: string[]
  fileKeys: string[]
  pendingKeys: string[]
  /** What is left on the nodes and their engine. */
  leftovers: { containers: string[]; networks: string[]; folders: string[]; mounts: string[] }
}

/** A row of jobs. */
export interface JobFact {
  id: string
  batchId: string | null
  state: string
  cause: string | null
  exitCode: number | null
  attemptId: string | null
  retries: number
  retriesUsed: number
  infraRetriesUsed: number
  cancelRequestedAtMs: number | null
  finishedAtMs: number | null
}

/** A row of attempts. */
export interface AttemptFact {
  id: string
  jobId: string
  number: number
  nodeId: string
  slots: number
  state: string
  cause: string | null
  exitCode: number | null
  assignedAtMs: number
  /** When its container began to run, by the word of its node. */
  startedAtMs: number | null
  finishedAtMs: number | null
}

/** What a job was to do. */
export interface Expected {
  /** How many numbered lines it prints when nobody stops it; null: none. */
  lines: number | null
  /** The exit codes that its script can end with by itself. */
  exitCodes: readonly number[]
  /** What becomes of it; null: any end is right. */
  end: { state: string; cause: string; exitCode: number | null } | null
  /** The fewest attempts with which it can come to that end. */
  minAttempts: number
  /** The paths that it keeps when it succeeds. */
  outputs: readonly string[]
  /** When the API answered that it is cancelled; null: it was not asked, or refused. */
  cancelAcceptedAtMs: number | null
}

/** What a container says that it did. */
export interface Witness {
  starts: number[]
  ends: { code: number; atMs: number }[]
}

/** A row of events. */
export interface EventFact {
  id: number
  type: string
  /** The job, or the batch where it is an event of a batch. */
  objectId: string
  /** The number of the attempt that it tells of. */
  attempt: number | null
  /** The state that the job is in by it. */
  state: string | null
}

/** An event as a webhook tells of it. */
export interface HookFact {
  id: number
  type: string
  objectId: string
}

/** A row of artifacts, with what the object store gives for its key; null: nothing. */
export interface ArtifactFact {
  id: string
  jobId: string
  path: string
  key: string
  sizeBytes: number
  sha256: string
  object: { sizeBytes: number; sha256: string } | null
}
