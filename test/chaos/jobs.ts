import { createRandom } from './schedule.ts'

/** A job that is submitted, and what is known of it beforehand. */
export interface PlannedJob {
  /** Its name: how it is found again when the answer to its submit is lost. */
  name: string
  kind: JobKind
  atMs: number
  spec: Record<string, unknown>
  /** How many numbered lines it prints when it runs to its end; null: none. */
  lines: number | null
  /** What becomes of it; `null`: any final state. */
  expected: { state: string; exitCode: number | null; cause: string } | null
  /** How long after the submit it is cancelled. */
  cancelAfterMs: number | null
}

/** What jobs do. */
export type JobKind = 'short' | 'lines' | 'long' | 'failing' | 'retrying' | 'outputs' | 'timeout' | 'cancelled' | 'batch'

// Where the job says what it really did: a folder that only the test mounts, and reads.
const WITNESS = `w=/witness/$RGRID_JOB_ID.$RGRID_ATTEMPT
echo "start $(date +%s%3N)" >> "$w"
trap 'code=$?; echo "end $code $(date +%s%3N)" >> "$w"' EXIT
`
const COMMON = { runtime: 'bash', resources: { cpu: '1', memory: '64Mi', disk: '32Mi' }, gracePeriodSeconds: 2, files: { outputs: [] } }
// The last line has no end of its own: what is flushed when the process ends must not be lost either.
const numbered = (lines: number, pause = 'true') => `for i in $(seq 1 ${lines - 1}); do echo "line $i"; ${pause}; done; printf "line ${lines}"`

/** The jobs of a run besides its batch, spread over its time: half of them at once. */
export function planJobs(seed: number, count: number, durationMs: number): PlannedJob[] {
  const random = createRandom(seed ^ 0x5eed)
  const pick = <T>(things: readonly T[]) => things[Math.floor(random() * things.length)] as T
  const kinds: JobKind[] = ['short', 'short', 'short', 'lines', 'lines', 'long', 'failing', 'retrying', 'outputs', 'outputs', 'timeout', 'cancelled']
  return Array.from({ length: count }, (_, i) => {
    const kind = kinds[i % kinds.length] as JobKind
    const atMs = i % 2 === 0 ? 0 : Math.round(random() * durationMs * 0.8)
    return { name: `chaos-${seed}-${i}`, kind, atMs, cancelAfterMs: null, ...describe(kind, pick, Math.round(random() * 6000)) }
  })
}

function describe(kind: JobKind, pick: <T>(things: readonly T[]) => T, ms: number): Pick<PlannedJob, 'spec' | 'lines' | 'expected'> & Partial<PlannedJob> {
  const job = (script: string, more: Record<string, unknown> = {}) => ({ ...COMMON, code: `${WITNESS}${script}\n`, ...more })
  const ok = { state: 'succeeded', exitCode: 0, cause: 'exit' }
  switch (kind) {
    case 'short':
      return { spec: job(numbered(5)), lines: 5, expected: ok }
    case 'lines':
      return { spec: job(numbered(3000)), lines: 3000, expected: ok }
    case 'long': {
      const lines = pick([80, 160, 240])
      return { spec: job(numbered(lines, 'sleep 0.1')), lines, expected: ok }
    }
    case 'failing':
      return { spec: job(`${numbered(3)}; exit 3`), lines: 3, expected: { state: 'failed', exitCode: 3, cause: 'exit' } }
    case 'retrying':
      // Counts what it did itself, as an attempt's number also counts those that were lost.
      return {
        spec: job(`${numbered(4)}; test "$(cat /witness/$RGRID_JOB_ID.* | grep -c '^end 5 ')" -ge 2 || exit 5`, {
          retries: 2,
          backoff: { initialSeconds: 0.5, factor: 2, maxSeconds: 2 },
        }),
        lines: 4,
        expected: ok,
      }
    case 'outputs':
      return {
        spec: job(`${numbered(5)}; mkdir out; for n in 1 2 3; do seq 1 $((n * 20000)) > out/$n.txt; done; echo "$RGRID_JOB_ID" > id.txt`, {
          files: { outputs: [{ path: 'out', type: 'directory' }, { path: 'id.txt' }] },
        }),
        lines: 5,
        expected: ok,
      }
    case 'timeout':
      // Long enough to print its lines on a machine that stands still for a moment.
      return { spec: job(`${numbered(3)}; sleep 60`, { timeoutSeconds: 10 }), lines: 3, expected: { state: 'failed', exitCode: null, cause: 'timeout' } }
    case 'cancelled':
      return { spec: job(numbered(600, 'sleep 0.1')), lines: 600, expected: { state: 'cancelled', exitCode: null, cause: 'cancelled' }, cancelAfterMs: ms }
    default:
      throw new Error(`a ${kind} job is not planned alone`)
  }
}

/** The batch of a run. */
export function planBatch(size: number, parallel: number): Record<string, unknown> {
  return {
    apiVersion: 'rgrid.dev/v1',
    kind: 'Batch',
    metadata: { name: 'chaos-batch' },
    parallel,
    template: { ...COMMON, code: `${WITNESS}${numbered(BATCH_LINES)}; sleep 0.2\n` },
    items: Array.from({ length: size }, (_, i) => ({ name: `chaos-item-${i}` })),
  }
}

/** The lines that each job of the batch prints. */
export const BATCH_LINES = 10
