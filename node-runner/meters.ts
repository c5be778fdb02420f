import { CAUSES, type Cause } from '#core/job/state.ts'
import { LONG_BUCKETS, type Metrics, QUICK_BUCKETS } from '#core/service/metrics.ts'
import type { Agent } from './agent.ts'
import { attemptPhase, PHASES } from './record.ts'

/** What is uploaded of an attempt. */
export type UploadKind = 'output' | 'log'
/** How a pull ended: the registry's no is not our trouble, and one that nobody waits for any more is called off. */
export type PullResult = 'pulled' | 'refused' | 'failed' | 'called_off'

/** Is told what the runner does. Labels are of closed lists, never of jobs. */
export interface RunnerMeters {
  /** A claim was answered with jobs or none, or was not answered. */
  claimed(result: 'jobs' | 'none' | 'failed', seconds: number): void
  /** A step of an attempt is over. */
  step(step: string, ok: boolean, seconds: number): void
  /** The end of an attempt was acknowledged. */
  ended(cause: Cause): void
  pulled(result: PullResult, seconds: number): void
  uploaded(kind: UploadKind, objects: number, bytes: number): void
  /** A batch of a log was written, of so many bytes. */
  logged(bytes: number): void
  /** A log has come to its limit; the rest is dropped. */
  logCut(): void
}

/** See the interface. */
export function createRunnerMeters(metrics: Metrics): RunnerMeters {
  const claims = metrics.histogram('rgrid_node_claim_seconds', 'From asking for work to the answer', ['result'], QUICK_BUCKETS)
  const steps = metrics.histogram('rgrid_node_step_seconds', 'How long the steps of attempts took', ['step', 'result'], LONG_BUCKETS)
  const ended = metrics.counter('rgrid_node_attempts_ended_total', 'Attempts whose end was reported and acknowledged, by how', ['cause'])
  const pulls = metrics.histogram('rgrid_node_image_pull_seconds', 'How long pulls of images took, by how they ended', ['result'], LONG_BUCKETS)
  const objects = metrics.counter('rgrid_node_uploaded_objects_total', 'Outputs and logs that the object store took', ['kind'])
  const bytes = metrics.counter('rgrid_node_uploaded_bytes_total', 'Bytes of them', ['kind'])
  const logBytes = metrics.counter('rgrid_node_log_bytes_total', 'Bytes of log messages that were written')
  const logBatches = metrics.counter('rgrid_node_log_batches_total', 'Log messages that were written')
  const cut = metrics.counter('rgrid_node_logs_cut_total', 'Logs that came to their limit, so that the rest of the output was dropped')
  for (const cause of CAUSES) ended.inc({ cause }, 0)
  for (const kind of ['output', 'log']) {
    objects.inc({ kind }, 0)
    bytes.inc({ kind }, 0)
  }
  return {
    claimed: (result, seconds) => claims.observe({ result }, seconds),
    step: (step, ok, seconds) => steps.observe({ step, result: ok ? 'ok' : 'failed' }, seconds),
    ended: (cause) => ended.inc({ cause }),
    pulled: (result, seconds) => pulls.observe({ result }, seconds),
    uploaded(kind, count, size) {
      objects.inc({ kind }, count)
      bytes.inc({ kind }, size)
    },
    logged(size) {
      logBatches.inc()
      logBytes.inc(size)
    },
    logCut: () => cut.inc(),
  }
}

/** What is read when the metrics of a node are asked for. */
export interface NodeReadings {
  agent: Pick<Agent, 'state'>
  capacity: { slots: number; memoryBytes: number }
  disk(): Promise<{ free: number; used: number }>
  refusedPackets(): Promise<number>
}

/** Measures what a node has, and what it has in its hands. */
export function meterNode(metrics: Metrics, { agent, capacity, disk, refusedPackets }: NodeReadings): void {
  const split = (all: number, free: number) => ({ free: Math.max(0, free), used: all - Math.max(0, free) })
  metrics.gauge('rgrid_node_slots', 'Slots of this node that jobs use, and that are free', () => split(capacity.slots, agent.state().free.slots), 'state')
  metrics.gauge(
    'rgrid_node_memory_bytes',
    'Memory of this node that jobs may use, by whether they do',
    () => split(capacity.memoryBytes, agent.state().free.memoryBytes),
    'state',
  )
  metrics.gauge('rgrid_node_draining', 'Whether the node takes no more work', () => Number(agent.state().draining))
  metrics.gauge('rgrid_node_attempts', 'Attempts that the node has in its hands', () => countPhases(agent), 'state')
  metrics.gauge('rgrid_node_disk_bytes', 'The disk of the work folders', disk, 'state')
  metrics.total('rgrid_node_egress_refused_packets_total', 'Packets of jobs to addresses that they may not reach; at least so many', refusedPackets)
}

function countPhases(agent: Pick<Agent, 'state'>): Record<string, number> {
  const counts: Record<string, number> = Object.fromEntries(PHASES.map((phase) => [phase, 0]))
  for (const record of agent.state().attempts) counts[attemptPhase(record)] = (counts[attemptPhase(record)] ?? 0) + 1
  return counts
}
