import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import type { Arrival, Trace } from './trace.ts'

const COLUMNS = ['at_seconds', 'slots', 'memory', 'duration_seconds'] as const

/**
 * Reads a trace: CSV with the columns `at_seconds,slots,memory,duration_seconds` under their names, memory in bytes, in any
 * order of time. Throws an error that names the line and the column when something is wrong, or fits on no such machine.
 */
export function readTrace(path: string, machine: { slots: number; memoryBytes: number }): Trace {
  const arrivals = parseTrace(readFileSync(path, 'utf8'))
  const large = arrivals.find((job) => job.slots > machine.slots || job.memoryBytes > machine.memoryBytes)
  if (large)
    throw new Error(
      `the job at ${large.atSeconds} s wants ${large.slots} slots and ${large.memoryBytes} bytes; a machine has ${machine.slots} and ${machine.memoryBytes}`,
    )
  return { name: basename(path).replace(/\.csv$/, ''), about: path, arrivals }
}

/** See readTrace. */
export function parseTrace(text: string): Arrival[] {
  const [head, ...lines] = text.split(/\r?\n/).map((line) => line.trim())
  if (head !== COLUMNS.join()) throw new Error(`line 1: the columns are to be ${COLUMNS.join()}`)
  const arrivals = lines.flatMap((line, index) => (line === '' ? [] : [parseLine(line, index + 2)]))
  return arrivals.sort((a, b) => a.atSeconds - b.atSeconds)
}

function parseLine(line: string, number: number): Arrival {
  const fields = line.split(',')
  if (fields.length !== COLUMNS.length) throw new Error(`line ${number}: ${fields.length} columns, not ${COLUMNS.length}`)
  const [atSeconds = 0, slots = 0, memoryBytes = 0, durationSeconds = 0] = COLUMNS.map((column, i) => {
    const value = Number(fields[i])
    const least = column === 'at_seconds' || column === 'memory' ? 0 : Number.MIN_VALUE
    if (fields[i]?.trim() === '' || !Number.isFinite(value) || value < least) throw new Error(`line ${number}: ${column} is no fitting number: ${fields[i]}`)
    return value
  })
  if (!Number.isInteger(slots)) throw new Error(`line ${number}: slots is no whole number: ${slots}`)
  return { atSeconds, slots, memoryBytes, durationSeconds }
}
