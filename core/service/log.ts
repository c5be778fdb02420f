import { type DestinationStream, type Logger, pino } from 'pino'
import { LOG_FIELDS } from './log-fields.ts'

/** The log of a process: JSON lines on standard error's sibling, standard output. */
export type Log = Logger

const KNOWN: ReadonlySet<string> = new Set(Object.keys(LOG_FIELDS))
const MAX_DEPTH = 4
const MAX_ITEMS = 100
const MAX_DROPPED = 10

/**
 * A log for one process. Only fields of LOG_FIELDS are written, at every depth; the names of others stand in `dropped`.
 * In texts, addresses lose their credentials and queries (presigned ones are credentials), and keys of ours are cut out.
 */
export function createLog(name: string, level: string, destination?: DestinationStream): Log {
  const options = {
    name,
    level,
    base: { name, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    // The formatters have been there: nothing is left for pino's own serialiser of errors.
    serializers: { err: (value: unknown) => value },
    formatters: { log: allowedFields },
  }
  const log = destination ? pino(options, destination) : pino(options)
  // Children stand on their parent, and theirs on them; the library filters no fields of theirs.
  const child = log.child
  log.child = function filtered(this: Log, fields, more) {
    return child.call(this, allowedFields(fields), more)
  } as Log['child']
  return log
}

/** The fields that may be written, cleaned, with `dropped` where there were others. */
export function allowedFields(fields: Record<string, unknown>): Record<string, unknown> {
  const dropped: string[] = []
  const kept = keepFields(fields, '', 0, dropped)
  if (dropped.length > 0) kept.dropped = dropped.slice(0, MAX_DROPPED)
  return kept
}

function keepFields(fields: object, prefix: string, depth: number, dropped: string[]): Record<string, unknown> {
  const kept: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue
    if (KNOWN.has(name)) kept[name] = clean(value, `${prefix}${name}.`, depth + 1, dropped)
    else dropped.push(`${prefix}${name}`.slice(0, 60))
  }
  return kept
}

function clean(value: unknown, prefix: string, depth: number, dropped: string[]): unknown {
  if (typeof value === 'string') return cleanText(value)
  if (typeof value !== 'object' || value === null) return typeof value === 'bigint' ? String(value) : value
  if (value instanceof Error) return { type: value.name, message: cleanText(value.message), stack: cleanText(value.stack ?? '') }
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  // Bytes say nothing to a reader, and may be anything.
  if (ArrayBuffer.isView(value) || depth > MAX_DEPTH) return '[cut]'
  if (Array.isArray(value)) return value.slice(0, MAX_ITEMS).map((item) => clean(item, prefix, depth + 1, dropped))
  return keepFields(value, prefix, depth, dropped)
}

// Greedy up to the last @, as a password may hold any of the others: better too much is cut than too little.
const CREDENTIALS = /([a-z][a-z0-9+.-]*:\/\/)[^\s"'<>]*@/gi
const QUERY = /([a-z][a-z0-9+.-]*:\/\/[^\s"'<>?#]*)[?#][^\s"'<>]*/gi
const KEYS = /\brgrid_[a-z]+_[A-Za-z0-9_-]{8,}|\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?/g

/** A text without what is a credential by its form: in addresses credentials and queries, keys of ours, JWTs. */
export function cleanText(text: string): string {
  let cleaned = text
  if (cleaned.includes('://')) cleaned = cleaned.replace(CREDENTIALS, '$1[cut]@').replace(QUERY, '$1?[cut]')
  if (cleaned.includes('rgrid_') || cleaned.includes('eyJ')) cleaned = cleaned.replace(KEYS, '[cut]')
  return cleaned
}
