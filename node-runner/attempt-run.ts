import type Docker from 'dockerode'
import type { Bus } from '#bus/bus.ts'
import type { Allowed } from '#core/allow-list.ts'
import type { Log } from '#core/service/log.ts'
import type { Tracer } from '#core/service/trace.ts'
import type { Egress } from './egress/egress.ts'
import type { LogPublisher } from './log/publisher.ts'
import type { LogSink } from './log/sink.ts'
import type { RunnerMeters } from './meters.ts'
import type { AttemptRecord } from './record.ts'
import type { Reporter } from './report.ts'
import type { Images } from './steps/image.ts'
import type { Workspace } from './steps/workspace.ts'
import type { AttemptWatch } from './watch.ts'

/** What running attempts needs; made once for the node. */
export interface AttemptDeps {
  nodeId: string
  dir: string
  docker: Docker
  bus: Bus
  images: Images
  egress: Egress
  reporter: Reporter
  allowed: readonly Allowed[]
  pipIndexUrl: string | undefined
  maxLogBytes: number
  prepareMs: number
  uploadMs: number
  log: Log
  meters: RunnerMeters
  tracer: Tracer
  /** Aborted when this process leaves: what is not done stays on disk for the next start. */
  leaving: AbortSignal
}

/** One attempt on its way through the steps. */
export interface AttemptRun {
  deps: AttemptDeps
  record: AttemptRecord
  /** Whether there was nothing of it on this node before. */
  isNew: boolean
  workspace: Workspace
  logPath: string
  /** Values that must not be seen in its log. */
  secrets: readonly string[]
  stop: AbortSignal
  sink: LogSink
  publisher: LogPublisher
  watch: AttemptWatch
}
