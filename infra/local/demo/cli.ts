import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { apiKeyPath } from '../prepare.ts'
import { say } from '../progress.ts'
import type { Settings } from '../settings.ts'

const DEADLINE_MS = 240_000

/** What a command did. */
export interface CliResult {
  exitCode: number | null
  stdout: string
  stderr: string
  seconds: number
}

/** Runs `rgrid <args>` in a folder, as a person there would; its output is shown and returned. */
export type Cli = (folder: string, ...args: string[]) => Promise<CliResult>

/** The `rgrid` command of this checkout, pointed at this instance. */
export function createCli(settings: Settings, interrupt: AbortSignal): Cli {
  const command = join(settings.root, 'node_modules/.bin/rgrid')
  return async (folder, ...args) => {
    const env = {
      ...process.env,
      RGRID_API_URL: `http://127.0.0.1:${settings.ports.api.number}`,
      RGRID_API_KEY: readFileSync(apiKeyPath(settings), 'utf8').trim(),
    }
    say(`$ rgrid ${args.map(quote).join(' ')}`)
    const startedMs = performance.now()
    const signal = AbortSignal.any([interrupt, AbortSignal.timeout(DEADLINE_MS)])
    const child = spawn(command, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'], signal, killSignal: 'SIGTERM' })
    const result: CliResult = { exitCode: null, stdout: '', stderr: '', seconds: 0 }
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      result.stdout += text
      process.stdout.write(text)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      result.stderr += text
      process.stderr.write(text)
    })
    result.exitCode = await new Promise((resolve, reject) => {
      child.on('error', (error) => reject(new Error(`rgrid could not be run to its end: ${error.message}`)))
      child.on('close', resolve)
    })
    result.seconds = (performance.now() - startedMs) / 1000
    say(`exit code ${result.exitCode} after ${result.seconds.toFixed(1)} s`)
    return result
  }
}

function quote(arg: string): string {
  return /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`
}
