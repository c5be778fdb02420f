import { spawn } from 'node:child_process'

/** How a command is run; `env` is its whole environment. */
export interface CommandOptions {
  env?: NodeJS.ProcessEnv
  cwd?: string
  signal: AbortSignal
  deadlineMs: number
}

/** Runs a command to its end and returns its output. Rejects with its last lines when it fails or time runs out. */
export async function runCommand(command: string, args: readonly string[], options: CommandOptions): Promise<string> {
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(options.deadlineMs)])
  const child = spawn(command, args, { env: options.env ?? process.env, cwd: options.cwd, stdio: ['ignore', 'pipe', 'pipe'], signal, killSignal: 'SIGTERM' })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  return await new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new Error(`${command} could not be run: ${error.message}`)))
    child.on('close', (code, killedBy) => {
      if (code === 0) resolve(output)
      else reject(new Error(`${command} ${args[0] ?? ''} ended with ${killedBy ?? `exit code ${code}`}:\n${lastLines(errors + output, 20)}`))
    })
  })
}

/** The last lines of a text, indented for an error message. */
export function lastLines(text: string, count: number): string {
  return text
    .trimEnd()
    .split('\n')
    .slice(-count)
    .map((line) => `    ${line}`)
    .join('\n')
}
