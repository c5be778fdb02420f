import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { UsageError } from './usage-error.ts'

/** Asks a person, or reads the answers line by line from a pipe. */
export interface Questions {
  /** Whether somebody is there to be asked. */
  readonly isTerminal: boolean
  ask(question: string): Promise<string>
  /** What is typed is not shown. */
  askSecret(question: string): Promise<string>
  /** The next line of a pipe; undefined at its end, and when it is empty. */
  line(): Promise<string | undefined>
  close(): void
}

/** Asks on stderr and reads stdin; one reader for all questions, since a pipe hands over several lines at once. */
export function openQuestions(): Questions {
  const isTerminal = process.stdin.isTTY ?? false
  let muted = false
  const shown = new Writable({
    write(chunk, _encoding, done) {
      if (!muted) process.stderr.write(chunk as Buffer)
      done()
    },
  })
  // Where a long question wraps.
  Object.defineProperty(shown, 'columns', { get: () => process.stderr.columns })
  const lines = createInterface({ input: process.stdin, output: shown, terminal: isTerminal })
  lines.on('SIGINT', () => process.exit(130))
  const read = lines[Symbol.asyncIterator]()
  const ask = (question: string) => {
    // Whoever corrects what they type has the line written anew, and the question stays.
    lines.setPrompt(question)
    lines.prompt(true)
  }
  const answer = async (question: string, secret: boolean) => {
    if (isTerminal) ask(question)
    muted = secret
    const next = await read.next()
    muted = false
    if (secret && isTerminal) process.stderr.write('\n')
    if (next.done) throw new UsageError(`no answer to "${question.trim()}" on standard input`)
    return next.value.trim()
  }
  return {
    isTerminal,
    ask: (question) => answer(question, false),
    askSecret: (question) => answer(question, true),
    async line() {
      const next = await read.next()
      return next.done || next.value.trim() === '' ? undefined : next.value.trim()
    },
    close: () => lines.close(),
  }
}
