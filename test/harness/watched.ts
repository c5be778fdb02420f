import { spawn } from 'node:child_process'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
/** Longer than the longest test may take. */
const SILENCE_MS = 660_000
const END_MS = 20_000

/**
 * Runs node in the root of the project, its output on ours, and ends it when it says nothing for too long: a test file with something
 * left open would hang for ever. Node names the file then. Returns the exit code, 1 for a signal.
 */
export function runWatched(args: string[], env: Record<string, string>, silenceMs: number = SILENCE_MS): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env } })
  let kill: NodeJS.Timeout | undefined
  const end = () => {
    process.stderr.write(`nothing was said for ${silenceMs / 1000} s: what runs is ended\n`)
    child.kill('SIGTERM')
    kill = setTimeout(() => child.kill('SIGKILL'), END_MS)
  }
  const silence = setTimeout(end, silenceMs)
  child.stdout.on('data', (chunk: Buffer) => {
    silence.refresh()
    process.stdout.write(chunk)
  })
  child.on('error', reject)
  child.on('close', (code, signal) => {
    clearTimeout(silence)
    clearTimeout(kill)
    resolve(signal ? 1 : (code ?? 1))
  })
  return promise
}
