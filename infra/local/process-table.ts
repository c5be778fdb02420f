import { readdirSync, readFileSync } from 'node:fs'

/** The variable that marks our processes: `<instance>/<name>/<spec>`; `name@id` is one of several. */
export const MARK = 'RGRID_PROCESS'

/** One of this instance's processes that is alive. */
export interface RunningProcess {
  name: string
  pid: number
  /** Stands for the settings it was started with; equal settings give an equal text. */
  spec: string
}

/**
 * This instance's live processes, read from /proc. The table is the truth, not the pid files: it also knows a process
 * whose starter was killed before it wrote a file, and never takes a stranger with a reused pid for one of ours.
 */
export function findProcesses(instance: string): RunningProcess[] {
  const found: RunningProcess[] = []
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry)
    const ours = Number.isInteger(pid) && pid !== process.pid ? readMark(pid, instance) : undefined
    if (ours) found.push(ours)
  }
  return found
}

function readMark(pid: number, instance: string): RunningProcess | undefined {
  try {
    const mark = readFileSync(`/proc/${pid}/environ`, 'utf8')
      .split('\0')
      .find((variable) => variable.startsWith(`${MARK}=${instance}/`))
    const [, name, spec = ''] = mark?.split('/') ?? []
    // Children such as mount or mkfs inherit the mark; only the entry point itself is the process.
    const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    return name && args.some((arg) => arg.endsWith(`${name.replace(/@.*/, '')}/main.ts`)) ? { name, pid, spec } : undefined
  } catch {
    // Ended meanwhile, or not ours to read.
    return undefined
  }
}
