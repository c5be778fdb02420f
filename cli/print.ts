import { styleText } from 'node:util'

type InspectColor = Parameters<typeof styleText>[0]

/** Where the command line writes. stdout is for results (and a job's stdout), stderr for everything said about them. */
export interface Printer {
  /** Whether stderr is a terminal: then there is colour and progress that redraws itself. */
  readonly isTerminal: boolean
  /** A line on stderr. */
  say(text: string): void
  /** On a terminal: the line below everything said, which redraws itself; empty text takes it away. */
  progress(text: string): void
  /** A line on stdout. */
  out(text: string): void
  /** A JSON document on a line of stdout. */
  json(value: unknown): void
  /** Coloured when stderr is a terminal that wants colour. */
  colour(format: InspectColor, text: string): string
  /** A table on stdout; the first row is the head. States are coloured where the terminal wants it. */
  table(rows: readonly (readonly string[])[]): void
  /** The lines of such a table. */
  tableLines(rows: readonly (readonly string[])[]): string[]
}

const STATE_COLOURS: Readonly<Record<string, InspectColor>> = { succeeded: 'green', failed: 'red', running: 'cyan', cancelled: 'dim', held: 'dim', lost: 'red' }
const CLEAR_LINE = '\r\u001b[2K'

/** Prints to this process's streams. */
export function createPrinter(): Printer {
  const isTerminal = process.stderr.isTTY ?? false
  const tableLines: Printer['tableLines'] = (rows) => layOutTable(rows, (format, text) => styleText(format, text, { stream: process.stdout }))
  let shown = ''
  return {
    isTerminal,
    say: (text) => void process.stderr.write(`${shown === '' ? '' : CLEAR_LINE}${text}\n${shown}`),
    progress(text) {
      if (!isTerminal || (text === '' && shown === '')) return
      // A line that wraps could not be taken back.
      shown = text.slice(0, Math.max(20, (process.stderr.columns || 80) - 1))
      process.stderr.write(`${CLEAR_LINE}${shown}`)
    },
    out: (text) => void process.stdout.write(`${text}\n`),
    json: (value) => void process.stdout.write(`${JSON.stringify(value)}\n`),
    colour: (format, text) => styleText(format, text, { stream: process.stderr }),
    table(rows) {
      for (const line of tableLines(rows)) process.stdout.write(`${line}\n`)
    },
    tableLines,
  }
}

/** The lines of a table: columns as wide as their widest cell, line breaks in cells as spaces, the head in bold. */
export function layOutTable(rows: readonly (readonly string[])[], style: (format: InspectColor, text: string) => string): string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this takes out
  const lines = rows.map((cells) => cells.map((cell) => cell.replaceAll(/[\u0000-\u001f\u007f]+/g, ' ')))
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)))
  return lines.map((cells, index) => {
    const padded = cells.map((cell, column) => {
      const text = column === cells.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)
      const colour = STATE_COLOURS[cell]
      return index > 0 && colour ? style(colour, text) : text
    })
    const line = padded.join('  ').trimEnd()
    return index === 0 ? style('bold', line) : line
  })
}

/** Fields below each other, those that have a value: the lines of a table without a head worth the name. */
export function presentFields(fields: readonly (readonly [string, string | null])[]): string[][] {
  return fields.filter((field): field is [string, string] => field[1] !== null && field[1] !== '').map(([name, value]) => [name, value])
}

/** How long ago a time was, in whole units that are over: `5s`, `3m`, `2h`, `4d`. */
export function age(time: string | null, nowMs: number): string {
  if (time === null) return '-'
  return span(Math.max(0, Math.round((nowMs - Date.parse(time)) / 1000)), Math.floor)
}

/** How long it is to a time, to the nearest unit, so that what was just made for 90 days has `90d`; `now` when it is past. */
export function until(time: string | null, nowMs: number): string {
  if (time === null) return '-'
  const ms = Date.parse(time) - nowMs
  return ms <= 0 ? 'now' : span(Math.round(ms / 1000), Math.round)
}

function span(seconds: number, whole: (units: number) => number): string {
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${whole(seconds / 60)}m`
  if (seconds < 86_400) return `${whole(seconds / 3600)}h`
  return `${whole(seconds / 86_400)}d`
}
