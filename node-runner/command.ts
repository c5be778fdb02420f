import { spawn } from 'node:child_process'

/** A command of the system ended with an error; the message holds what it printed. */
export class CommandError extends Error {
  readonly exitCode: number | null

  constructor(command: string, exitCode: number | null, output: string) {
    super(`${command} failed (${exitCode ?? 'killed'}): ${output.trim().slice(-500)}`)
    this.name = 'CommandError'
    this.exitCode = exitCode
  }
}

const DEADLINE_MS = 30_000

/** Runs a command of the system without a shell, at most 30 s; resolves with its standard output. Throws a CommandError. */
export function runCommand(command: string, args: readonly string[], stdin = ''): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: DEADLINE_MS,
    env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, LC_ALL: 'C' },
  })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  child.stdin.on('error', () => undefined)
  child.stdin.end(stdin)
  child.on('error', (error) => reject(new CommandError(command, null, error.message)))
  child.on('close', (code) => (code === 0 ? resolve(output) : reject(new CommandError(command, code, errors || output))))
  return promise
}
