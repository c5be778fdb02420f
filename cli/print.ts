import { styleText } from 'node:util'

type InspectColor = Parameters<typeof styleText>[0]

/** Where the command line writes. stdout is for results (and a job's stdout), stderr for everything said about them. */
export interface Printer {
  /** Whether stderr is a terminal: then there is colour and progress that redraws itself. */
  readonly isTerminal: boolean
  /** A line on stderr. */
  say(text: string): void
  /** A line on stdout. */
  out(text: string): void
  /** A JSON document on a line of stdout. */
  json(value: unknown): void
  /** Coloured when that stream is a terminal that wants colour. */
  colour(format: InspectColor, text: string): string
  /** A table on stdout; the first row is the head. */
  table(rows: readonly (readonly string[])[]): void
}

/** Prints to this process's streams. */
export function createPrinter(): Printer {
  return {
    isTerminal: process.stderr.isTTY ?? false,
    say: (text) => void process.stderr.write(`${text}\n`),
    out: (text) => void process.stdout.write(`${text}\n`),
    json: (value) => void process.stdout.write(`${JSON.stringify(value)}\n`),
    colour: (format, text) => styleText(format, text, { stream: process.stderr }),
    table(rows) {
      const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)))
      for (const [index, cells] of rows.entries()) {
        const line = cells
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()
        process.stdout.write(`${index === 0 ? styleText('bold', line, { stream: process.stdout }) : line}\n`)
      }
    },
  }
}

/** How long ago a time was: `5s`, `3m`, `2h`, `4d`. */
export function age(time: string | null, nowMs: number): string {
  if (time === null) return '-'
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(time)) / 1000))
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`
  return `${Math.floor(seconds / 86_400)}d`
}
