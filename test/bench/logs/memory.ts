import { readFileSync, writeFileSync } from 'node:fs'

const EVERY_MS = 100

/** The most memory that each process held, in bytes, by name. */
export type Peaks = Record<string, number>

/**
 * Watches the resident memory of processes, by name and pid; the kernel keeps the peak (`VmHWM` of proc(5)), which is set
 * back at the start. Read again and again, as a process that has ended tells nothing.
 */
export function watchMemory(pids: Readonly<Record<string, number>>): { stop(): Peaks } {
  const peaks: Peaks = {}
  for (const pid of Object.values(pids)) writeFileSync(`/proc/${pid}/clear_refs`, '5')
  const look = () => {
    for (const [name, pid] of Object.entries(pids)) peaks[name] = Math.max(peaks[name] ?? 0, peakOf(pid))
  }
  look()
  const timer = setInterval(look, EVERY_MS)
  return {
    stop() {
      clearInterval(timer)
      look()
      return peaks
    },
  }
}

function peakOf(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
  } catch {
    // It has ended.
    return 0
  }
}
