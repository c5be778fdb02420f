import type { BatchView } from '#core/api.ts'
import { formatDuration } from '#core/service/time.ts'
import type { Printer } from './print.ts'

/** Shows how a batch goes on: a bar that redraws itself on a terminal, else a line now and then when something changed. */
export interface Progress {
  show(batch: BatchView): void
  end(): void
}

const LINE_EVERY_MS = 5000
const BAR_WIDTH = 24

/** See the interface. `elapsedMs` tells how long the batch has run. */
export function createProgress(print: Pick<Printer, 'isTerminal' | 'say' | 'progress'>, elapsedMs: () => number): Progress {
  let lastText = ''
  let lastLineMs = Number.NEGATIVE_INFINITY
  return {
    show(batch) {
      const text = progressText(batch, elapsedMs())
      if (print.isTerminal) print.progress(`${progressBar(batch)} ${text}`)
      else if (countsText(batch) !== lastText && elapsedMs() - lastLineMs >= LINE_EVERY_MS) {
        print.say(text)
        lastLineMs = elapsedMs()
        lastText = countsText(batch)
      }
    },
    end: () => print.progress(''),
  }
}

/** How many jobs of a batch have ended, in whatever way. */
export function endedCount({ counts }: BatchView): number {
  return counts.succeeded + counts.failed + counts.cancelled
}

/** `12/24 done, 1 failed, 4 running`. */
export function countsText({ counts, size }: BatchView): string {
  const cancelled = counts.cancelled > 0 ? `, ${counts.cancelled} cancelled` : ''
  return `${counts.succeeded}/${size} done, ${counts.failed} failed, ${counts.running} running${cancelled}`
}

/** `12/24 done, 1 failed, 4 running, about 30.0 s left`. */
export function progressText(batch: BatchView, elapsedMs: number): string {
  const done = endedCount(batch)
  const left = done === 0 || done === batch.size ? '' : `, about ${formatDuration((elapsedMs / done) * (batch.size - done))} left`
  return `${countsText(batch)}${left}`
}

/** `[======      ]`: how much of the batch has ended. */
export function progressBar(batch: BatchView): string {
  const filled = Math.round((endedCount(batch) / batch.size) * BAR_WIDTH)
  return `[${'='.repeat(filled)}${' '.repeat(BAR_WIDTH - filled)}]`
}
