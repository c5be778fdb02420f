import { once } from 'node:events'
import type { LogChunk, LogStatus } from '#core/api.ts'
import { chunkBytes } from '#core/log-chunk.ts'
import type { Listener } from './follow.ts'
import type { Printer } from './print.ts'
import { createTerminalFilter, shown, type TerminalFilter } from './terminal-text.ts'

/**
 * Writes a job's output where the job meant it: stdout to stdout, stderr to stderr, byte for byte; a terminal gets what
 * cannot harm it. What RGrid itself says of the job goes to stderr, each line marked as ours; where the job waits is told
 * only to a terminal.
 */
export function createOutput(print: Printer): Listener {
  let begun = false
  const mark = createMarker()
  const filters = { stdout: filterFor(process.stdout), stderr: filterFor(process.stderr), system: filterFor(process.stderr) }
  return {
    async chunk(chunk: LogChunk) {
      if (!begun) print.progress('')
      begun = true
      const stream = chunk.stream === 'stdout' ? process.stdout : process.stderr
      const bytes = chunk.stream === 'system' ? Buffer.from(mark(chunkBytes(chunk).toString('utf8'))) : chunkBytes(chunk)
      if (!stream.write(filters[chunk.stream]?.write(bytes) ?? bytes)) await once(stream, 'drain')
    },
    status(status: LogStatus) {
      if (!begun) print.progress(status.reason ? `… ${shown(status.reason)}` : '')
    },
    attempt(number: number) {
      print.say(`rgrid: attempt ${number}`)
    },
    lost() {
      print.say('rgrid: the connection is lost; trying again. The job goes on')
    },
  }
}

/** For a terminal only: in a pipe or a file every byte is as the job wrote it. */
function filterFor(stream: NodeJS.WriteStream): TerminalFilter | undefined {
  if (!stream.isTTY) return undefined
  const filter = createTerminalFilter()
  process.once('exit', () => stream.write(filter.end()))
  return filter
}

/** A listener that shows nothing of the output, only what happens to the connection. */
export function createQuiet(print: Printer): Listener {
  return { ...createOutput(print), chunk: async () => undefined, status: () => undefined }
}

/** Puts `rgrid: ` before each line, also of one that comes in pieces. */
export function createMarker(): (text: string) => string {
  let atLineStart = true
  return (text) => {
    if (text === '') return ''
    const marked = text.replaceAll(/\n(?=[^\n])/g, '\nrgrid: ')
    const first = atLineStart && !text.startsWith('\n') ? 'rgrid: ' : ''
    atLineStart = text.endsWith('\n')
    return `${first}${marked}`
  }
}
