import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { lastLines } from './command.ts'
import { checkPort } from './container.ts'
import { SYSTEM_PATH } from './packages.ts'
import { apiKeyPath, cleanEnv } from './prepare.ts'
import { processEnv } from './process-env.ts'
import { findProcesses, MARK } from './process-table.ts'
import { say } from './progress.ts'
import type { Connections } from './secrets.ts'
import type { Settings } from './settings.ts'
import { logPath, writeWhole } from './state.ts'
import { StopWaiting, waitFor } from './wait.ts'

/** Our processes and their entry points, in the order they start; they stop in reverse, so that a node can still report while it drains. */
const ENTRY_POINTS = {
  gateway: 'gateway/main.ts',
  scheduler: 'scheduler/main.ts',
  'node-runner': 'node-runner/main.ts',
  machines: 'infra/machines/main.ts',
} as const

/** The name of a process. */
export type ProcessName = keyof typeof ENTRY_POINTS

const NAMES = Object.keys(ENTRY_POINTS) as ProcessName[]

const READY_DEADLINE_MS = 60_000
const STOP_DEADLINE_MS: Readonly<Record<ProcessName, number>> = { gateway: 10_000, scheduler: 10_000, 'node-runner': 30_000, machines: 5000 }

/** The processes that an instance has: with a node of its own, a host of machines that its scheduler orders from, or neither. */
export function processNames(settings: Settings): readonly ProcessName[] {
  const without: Record<Settings['nodes'], readonly ProcessName[]> = { here: ['machines'], local: ['node-runner'], bought: ['machines', 'node-runner'] }
  return NAMES.filter((name) => !without[settings.nodes].includes(name))
}

/**
 * Makes the named processes run with these settings, each on its own (it outlives this command), logging to a file; the
 * log of the run before is kept as `.log.1`. One that runs with other settings is ended and started anew.
 */
export async function startProcesses(settings: Settings, connections: Connections, names: readonly ProcessName[]): Promise<void> {
  const running = new Map(findProcesses(settings.instance).map((process) => [process.name, process]))
  for (const name of names) {
    const env = processEnv(settings, connections)[name]
    const spec = describeSpec(settings, env)
    const old = running.get(name)
    if (old?.spec === spec) {
      say(`${name} runs already (pid ${old.pid})`)
      continue
    }
    if (old) {
      say(`${name} runs with other settings (pid ${old.pid}): it is started anew`)
      await stopProcess(settings, name)
    }
    if (name === 'gateway') await checkPort(settings.ports.api, name)
    say(`${name} started (pid ${startProcess(settings, name, env, spec)})`)
  }
}

function startProcess(settings: Settings, name: ProcessName, env: Record<string, string>, spec: string): number {
  const log = logPath(settings, name)
  if (existsSync(log)) renameSync(log, `${log}.1`)
  const output = openSync(log, 'a', 0o600)
  const child = spawn(process.execPath, [ENTRY_POINTS[name]], {
    cwd: settings.root,
    env: { ...cleanEnv(), PATH: SYSTEM_PATH, ...env, [MARK]: `${settings.instance}/${name}/${spec}` },
    stdio: ['ignore', output, output],
    detached: true,
  })
  closeSync(output)
  child.on('error', () => undefined)
  child.unref()
  if (!child.pid) throw new Error(`${name} could not be started`)
  writeWhole(pidPath(settings, name), `${child.pid}\n`)
  return child.pid
}

// What the process reads: the variables that are its own, those handed through, and the program.
function describeSpec(settings: Settings, env: Record<string, string>): string {
  const handed = Object.entries(cleanEnv()).filter(([name]) => /^(RGRID|OTEL)_/.test(name) && name !== MARK)
  const all = Object.entries({ ...Object.fromEntries(handed), ...env }).sort()
  return createHash('sha256')
    .update(JSON.stringify([settings.root, process.version, all]))
    .digest('hex')
    .slice(0, 16)
}

/** Waits until the gateway is ready. A process that ends meanwhile is reported with its log. */
export async function waitForGateway(settings: Settings, connections: Connections, signal: AbortSignal): Promise<void> {
  await waitWhileAlive(settings, `the gateway at ${connections.apiUrl}`, ['gateway', 'scheduler'], signal, async (limit) => {
    const response = await fetch(`${connections.apiUrl}/readyz`, { signal: limit })
    if (response.ok) return true
    throw new Error(`it answers ${response.status}: ${(await response.text()).slice(0, 300)}`)
  })
}

/** Waits until the gateway shows a node that takes work. A process that ends meanwhile is reported with its log. */
export async function waitForNode(settings: Settings, connections: Connections, signal: AbortSignal): Promise<void> {
  // A node row says "ready" also while its runner is away: only one that is heard anew counts.
  let before: Map<string, string | null> | undefined
  await waitWhileAlive(settings, 'a node', processNames(settings), signal, async (limit) => {
    const key = readFileSync(apiKeyPath(settings), 'utf8').trim()
    const response = await fetch(`${connections.apiUrl}/v1/nodes`, { signal: limit, headers: { authorization: `Bearer ${key}` } })
    if (!response.ok) throw new Error(`GET /v1/nodes answers ${response.status}: ${(await response.text()).slice(0, 300)}`)
    const { items } = (await response.json()) as { items: { id: string; state: string; lastSeenAt: string | null }[] }
    before ??= new Map(items.map((node) => [node.id, node.lastSeenAt]))
    const heard = items.some((node) => node.state === 'ready' && node.lastSeenAt !== null && node.lastSeenAt !== before?.get(node.id))
    if (heard) return true
    throw new Error(`the gateway shows ${items.length} nodes, none that is ready and was heard`)
  })
}

async function waitWhileAlive(
  settings: Settings,
  what: string,
  names: readonly ProcessName[],
  signal: AbortSignal,
  probe: (limit: AbortSignal) => Promise<true>,
): Promise<void> {
  await waitFor(what, READY_DEADLINE_MS, signal, async (limit) => {
    const dead = findDead(settings, names)
    if (dead) throw new StopWaiting(describeDeath(settings, dead))
    return await probe(limit)
  })
}

/** The first of these processes that does not run, or undefined. */
export function findDead(settings: Settings, names: readonly ProcessName[] = processNames(settings)): ProcessName | undefined {
  const running = new Set(findProcesses(settings.instance).map((process) => process.name))
  return names.find((name) => !running.has(name))
}

/** Says that a process ended, with the last lines of its log. */
export function describeDeath(settings: Settings, name: ProcessName): string {
  const log = logPath(settings, name)
  return `${name} ended; the last lines of ${log}:\n${lastLines(readFileSync(log, 'utf8'), 15)}`
}

/** Ends our processes: asked first (SIGTERM), after their deadline killed. Returns what was stopped. */
export async function stopProcesses(settings: Settings): Promise<string[]> {
  const stopped: string[] = []
  for (const name of NAMES.toReversed()) stopped.push(...(await stopProcess(settings, name)))
  return stopped
}

/** Ends the processes that this instance no longer has, as it was told otherwise. */
export async function stopOthers(settings: Settings): Promise<void> {
  const wanted = processNames(settings)
  for (const name of NAMES.filter((other) => !wanted.includes(other))) {
    for (const stopped of await stopProcess(settings, name)) say(`stopped ${stopped}`)
  }
}

async function stopProcess(settings: Settings, name: ProcessName): Promise<string[]> {
  const stopped: string[] = []
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const alive = await endProcess(settings, name, signal)
    stopped.push(...alive.map((pid) => `${name} (pid ${pid}${signal === 'SIGKILL' ? ', killed' : ''})`))
  }
  rmSync(pidPath(settings, name), { force: true })
  return stopped
}

// Looks the process up anew each time: a pid is only signalled while the table says that it is ours.
async function endProcess(settings: Settings, name: ProcessName, signal: 'SIGTERM' | 'SIGKILL'): Promise<number[]> {
  // The runners of machines are `node-runner@<id>`: they end with theirs.
  const find = () => findProcesses(settings.instance).filter((process) => process.name.replace(/@.*/, '') === name)
  const signalled = find().map(({ pid }) => pid)
  for (const pid of signalled) {
    try {
      process.kill(pid, signal)
    } catch {
      // It ended between the look and the signal.
    }
  }
  const endsMs = performance.now() + STOP_DEADLINE_MS[name]
  while (find().length > 0 && performance.now() < endsMs) await delay(50)
  return signalled
}

function pidPath(settings: Settings, name: ProcessName): string {
  return join(settings.stateDir, 'run', `${name}.pid`)
}
