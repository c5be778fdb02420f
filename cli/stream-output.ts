import { once } from 'node:events'
import type { LogChunk } from '#core/api.ts'
import { chunkBytes } from '#core/log-chunk.ts'
import type { Listener } from './follow.ts'
import type { Printer } from './print.ts'

/**
 * Writes a job's output where the job meant it: stdout to stdout, stderr to stderr, byte for byte. What RGrid itself
 * says goes to stderr; where the job waits is told only to a terminal.
 */
export function createOutput(print: Printer): Listener & { lines: boolean } {
  let told = ''
  const output = {
    lines: false,
    async chunk(chunk: LogChunk) {
      output.lines = true
      const stream = chunk.stream === 'stdout' ? process.stdout : process.stderr
      if (!stream.write(chunkBytes(chunk))) await once(stream, 'drain')
    },
    status(status: Parameters<Listener['status']>[0]) {
      if (!print.isTerminal || output.lines || !status.reason || status.reason === told) return
      told = status.reason
      print.say(print.colour('dim', `… ${status.reason}`))
    },
  }
  return output
}
