import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'

/** What this process has at most, in bytes. `allowed` is the limit of its container or cgroup; undefined: none. */
export interface Memory {
  heap: number
  machine: number
  allowed: number | undefined
}

/** Beyond these a process is in danger, and should refuse rather than be killed. */
export interface MemoryLimits {
  maxHeapBytes: number
  maxRssBytes: number
}

/** Of what is its own nine tenths; of a machine, which others live on too, half. */
export function memoryLimits({ heap, machine, allowed }: Memory): MemoryLimits {
  return { maxHeapBytes: Math.floor(heap * 0.9), maxRssBytes: Math.floor(allowed === undefined ? machine * 0.5 : allowed * 0.9) }
}

/** What this process has. */
export function memoryHere(): Memory {
  const machine = totalmem()
  const constrained = process.constrainedMemory()
  return { heap: getHeapStatistics().heap_size_limit, machine, allowed: constrained > 0 && constrained < machine ? constrained : undefined }
}
