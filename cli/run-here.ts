import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { localCommand } from './script.ts'
import { UsageError } from './usage-error.ts'

/** `rgrid run --local`: the same command line on this machine, with its own stdin, stdout and stderr. Resolves with its exit code. */
export async function runHere(cwd: string, words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<number> {
  const [program, ...args] = localCommand(cwd, words)
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  // The terminal sends Ctrl-C to the program too; what it makes of it is the end that counts.
  const stay = () => undefined
  process.on('SIGINT', stay)
  const child = spawn(program, args, { cwd, stdio: 'inherit', env: { ...process.env, ...env } })
  child.on('error', (error) => reject(new UsageError(`${program} cannot be started here: ${error.message}`)))
  child.on('exit', (code, signal) => resolve(signal ? 128 + constants.signals[signal] : (code ?? 1)))
  return promise.finally(() => process.off('SIGINT', stay))
}
