import { spawn } from 'node:child_process'
import { stripVTControlCharacters } from 'node:util'
import { commandLine } from '../../cli/command-line.ts'

/** How a command on a terminal ended, and all that it wrote there, without control sequences. */
export interface TerminalResult {
  code: number
  text: string
}

/**
 * Runs a command on a terminal of its own (a pseudo-terminal of util-linux' `script`), at most two minutes. `type` is given all that
 * was shown since something was typed last, whenever there is more, and says what to type now: `\r` is Enter, `\x03` Ctrl-C.
 */
export function runOnTerminal(
  words: string[],
  options: { cwd: string; env: Record<string, string>; type(shown: string): string | undefined },
): Promise<TerminalResult> {
  const { promise, resolve, reject } = Promise.withResolvers<TerminalResult>()
  const child = spawn('script', ['--quiet', '--return', '--flush', '--command', commandLine(words), '/dev/null'], {
    cwd: options.cwd,
    env: { ...process.env, SHELL: '/bin/sh', ...options.env },
    stdio: ['pipe', 'pipe', 'inherit'],
    signal: AbortSignal.timeout(120_000),
  })
  let [text, from] = ['', 0]
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    const typed = options.type(stripVTControlCharacters(text.slice(from)))
    if (typed === undefined) return
    from = text.length
    child.stdin.write(typed)
  })
  child.stdin.on('error', () => undefined)
  child.on('error', reject)
  child.on('close', (code) => resolve({ code: code ?? -1, text: stripVTControlCharacters(text) }))
  return promise
}
