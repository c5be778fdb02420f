import { createLineAssembler, type LogLine } from '#core/log-lines.ts'
import type { Listener } from './follow.ts'

/** A longer line is written in pieces, so that none has to be held whole. */
const MAX_LINE_BYTES = 64 * 1024

/** A listener that is told when its log is over. */
export interface PrefixedListener extends Listener {
  /** Writes what is left of unfinished lines. */
  end(): Promise<void>
}

/**
 * Gives `output` whole lines only, each with a prefix in front, so that several logs can share a terminal: a line is written
 * when it ends. `timestamps` puts the time behind the prefix.
 */
export function withPrefix(output: Listener, prefix: string, timestamps: boolean): PrefixedListener {
  const lines = createLineAssembler(MAX_LINE_BYTES)
  const write = ({ stream, at, bytes }: LogLine) => {
    const head = `${prefix}${timestamps ? `${new Date(at).toISOString()} ` : ''}`
    const whole = Buffer.concat([Buffer.from(head), bytes, Buffer.from(bytes.at(-1) === 10 ? '' : '\n')])
    return output.chunk({ stream, at, base64: whole.toString('base64') })
  }
  return {
    status: () => undefined,
    attempt: () => undefined,
    lost: output.lost,
    async chunk(chunk) {
      for (const line of lines.push(chunk)) await write(line)
    },
    async end() {
      for (const line of lines.rest()) await write(line)
    },
  }
}
