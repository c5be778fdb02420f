import { sleep, withDeadline } from '#core/service/time.ts'
import { runCommand } from './platform.ts'

const DEADLINE_MS = 120_000

/** A line of shell with which a job waits until `openGate`: however slow the machine is, what comes behind it comes after what the test did before. */
export const GATE = 'while [ ! -e /work/go ]; do sleep 0.1; done'
/** The same for Python; `import os, time` is to stand before it. */
export const PYTHON_GATE = "while not os.path.exists('/work/go'): time.sleep(0.1)"

/** Lets a job go on that waits at its gate, or will. */
export async function openGate(jobId: string): Promise<void> {
  await withDeadline(`the gate of ${jobId}`, DEADLINE_MS, async (signal) => {
    while (!(await isOpened(jobId))) await sleep(100, signal)
  })
}

async function isOpened(jobId: string): Promise<boolean> {
  const { stdout } = await runCommand('docker', ['ps', '-q', '--filter', `label=rgrid.job=${jobId}`])
  const container = stdout.trim()
  // As the job's own user, who may write there.
  return container !== '' && (await runCommand('docker', ['exec', '-u', '65534', container, 'touch', '/work/go'])).code === 0
}
