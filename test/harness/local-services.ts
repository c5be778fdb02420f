import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePorts } from './ports.ts'

const ROOT = join(import.meta.dirname, '../..')

/** Servers that the local bring-up runs for tests, on free ports, so that they live beside any platform that runs. */
export interface LocalServices {
  /** The variables that `testServices` reads. */
  env: Record<string, string>
  /** Whether they could be ended. */
  stop(): Promise<boolean>
}

/** Starts them with their state in this folder; undefined when that did not work, which has then been printed. */
export async function startServices(stateDir: string): Promise<LocalServices | undefined> {
  const ports = await freePorts()
  const local = async (command: string) => (await runNode([join(ROOT, 'infra/local/main.ts'), command], { ...ports, RGRID_STATE_DIR: stateDir })) === 0
  // What an earlier run left listens on other ports.
  if (!(await local('down-services')) || !(await local('up-services'))) return undefined
  return { env: servicesEnv(stateDir), stop: () => local('down-services') }
}

/** Makes the images of servers and runtimes available, which takes minutes the first time; whether that worked. */
export async function prepareImages(stateDir: string): Promise<boolean> {
  return (await runNode([join(ROOT, 'infra/local/main.ts'), 'images'], { RGRID_STATE_DIR: stateDir })) === 0
}

/** What `up-services` wrote for a shell to source, under names that no part of the platform reads by itself. */
function servicesEnv(stateDir: string): Record<string, string> {
  const env: Record<string, string> = { RGRID_TEST_STATE_DIR: stateDir }
  for (const match of readFileSync(join(stateDir, 'env'), 'utf8').matchAll(/^export RGRID_(\w+)='([^']*)'$/gm)) env[`RGRID_TEST_${match[1]}`] = match[2] ?? ''
  return env
}

/** Runs node with these arguments in the root of the project, its output on ours; returns the exit code, 1 for a signal. */
function runNode(args: string[], env: Record<string, string>): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, ...env } })
  child.on('error', reject)
  child.on('exit', (code, signal) => resolve(signal ? 1 : (code ?? 1)))
  return promise
}
