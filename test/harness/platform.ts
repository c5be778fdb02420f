import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from './ports.ts'

const ROOT = join(import.meta.dirname, '../..')
/** The local bring-up has deadlines of its own, for each step. */
export const BRING_UP_MS = 600_000
/** What a command may take otherwise. */
export const COMMAND_MS = 120_000

/** A platform of a test file's own: gateway, scheduler and a node as real processes, on the test servers. */
export interface Platform {
  apiUrl: string
  apiKey: string
  stateDir: string
  /** The variables that point the command line (or anything else) at this platform. */
  env: Record<string, string>
  /** Calls the API with the key. */
  api(method: string, path: string, body?: unknown): Promise<Response>
  /** Ends one of its processes as a crash would. */
  kill(name: 'gateway' | 'scheduler' | 'node-runner'): void
  /** Starts again what does not run. */
  start(): Promise<void>
  stop(): Promise<void>
}

/**
 * Starts it with the local bring-up itself. `env` changes the settings of its processes; `ownServices` gives it
 * servers of its own, else those of test/run.ts are used.
 */
export async function startPlatform(env: Record<string, string> = {}, ownServices = false): Promise<Platform> {
  const stateDir = mkdtempSync(join(tmpdir(), 'rgrid-platform-'))
  const settings = { RGRID_STATE_DIR: stateDir, ...(await freePorts()), ...(ownServices ? {} : givenServices()), ...env }
  const local = async (...args: string[]) => {
    const result = await runCommand(process.execPath, [join(ROOT, 'infra/local/main.ts'), ...args], { env: settings, deadlineMs: BRING_UP_MS })
    if (result.code !== 0) throw new Error(`${args.join(' ')} failed:\n${result.stdout}\n${result.stderr}`)
  }
  const stop = async () => {
    await local('stop')
    rmSync(stateDir, { recursive: true, force: true })
  }
  await local('start', '--detach').catch(async (error: unknown) => {
    await stop().catch(() => undefined)
    throw error
  })
  const written = Object.fromEntries(
    [...readFileSync(join(stateDir, 'env'), 'utf8').matchAll(/^export (\w+)='([^']*)'$/gm)].map((match) => [match[1], match[2]]),
  )
  const apiUrl = written.RGRID_API_URL as string
  const apiKey = written.RGRID_API_KEY as string
  return {
    apiUrl,
    apiKey,
    stateDir,
    env: { RGRID_API_URL: apiUrl, RGRID_API_KEY: apiKey },
    api: (method, path, body) =>
      fetch(`${apiUrl}${path}`, {
        method,
        headers: { authorization: `Bearer ${apiKey}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    kill: (name) => void process.kill(Number(readFileSync(join(stateDir, 'run', `${name}.pid`), 'utf8')), 'SIGKILL'),
    start: () => local('start', '--detach'),
    stop,
  }
}

function givenServices(): Record<string, string> {
  const given: Record<string, string> = {}
  for (const name of ['POSTGRES_ADMIN_URL', 'NATS_URL', 'NATS_TRUST_DIR', 'S3_URL', 'S3_ACCESS_KEY', 'S3_SECRET_KEY']) {
    const value = process.env[`RGRID_TEST_${name}`]
    if (!value) throw new Error(`RGRID_TEST_${name} is not set: e2e tests are run by "npm test"`)
    given[`RGRID_${name}`] = value
  }
  return given
}

/** How a command ended, with what it printed; `chunks` says when each piece came. */
export interface CommandResult {
  code: number
  stdout: string
  stderr: string
  chunks: { stream: 'stdout' | 'stderr'; text: string; atMs: number }[]
}

/**
 * Runs a command to its end, at most two minutes or `deadlineMs`, without colours wherever the tests run. `onChunk` hears the output while
 * it runs, each piece with all that its stream has said so far, as a line may come in several; it may signal it.
 */
export function runCommand(
  command: string,
  args: string[],
  options: {
    cwd?: string
    env?: Record<string, string | undefined>
    stdin?: string
    deadlineMs?: number
    onChunk?: (text: string, kill: (signal: NodeJS.Signals) => void, soFar: string) => void
  } = {},
): Promise<CommandResult> {
  const { promise, resolve, reject } = Promise.withResolvers<CommandResult>()
  const child = spawn(command, args, {
    cwd: options.cwd ?? ROOT,
    // A runner of tests on a terminal sets FORCE_COLOR, which is stronger than NO_COLOR.
    env: { ...process.env, FORCE_COLOR: undefined, NO_COLOR: '1', ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
    signal: AbortSignal.timeout(options.deadlineMs ?? COMMAND_MS),
  })
  const chunks: CommandResult['chunks'] = []
  for (const stream of ['stdout', 'stderr'] as const) {
    let soFar = ''
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      chunks.push({ stream, text, atMs: performance.now() })
      if (!options.onChunk) return
      soFar += text
      options.onChunk(text, (signal) => child.kill(signal), soFar)
    })
  }
  child.stdin.on('error', () => undefined)
  child.stdin.end(options.stdin ?? '')
  child.on('error', reject)
  child.on('close', (code) => {
    const all = (stream: string) =>
      chunks
        .filter((chunk) => chunk.stream === stream)
        .map((chunk) => chunk.text)
        .join('')
    resolve({ code: code ?? -1, stdout: all('stdout'), stderr: all('stderr'), chunks })
  })
  return promise
}

/** Runs `rgrid` in a folder, as a user does. */
export function rgrid(platform: Platform, args: string[], options: Parameters<typeof runCommand>[2] = {}): Promise<CommandResult> {
  return runCommand(join(ROOT, 'cli/rgrid'), args, { ...options, env: { ...platform.env, ...options?.env } })
}
