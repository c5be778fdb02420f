import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { findProcesses, MARK } from '../local/process-table.ts'

/** Where runners are started. */
export interface RunnerPlace {
  /** The folder with `node-runner/`. */
  root: string
  /** Marks this host's processes in the process table. */
  instance: string
  /** What every runner is given; the machine's user data comes on top. */
  env: Readonly<Record<string, string>>
}

/** As long as a machine is given between the press of its button and the loss of its power. */
const STOP_MS = 8000

/** The folder of a machine that is its runner's own. */
export function runnerDir(folder: string): string {
  return join(folder, 'node')
}

/** Starts the node-runner of a machine, as its unit would at boot. It outlives this process. */
export function startRunner(place: RunnerPlace, id: string, folder: string, settings: Readonly<Record<string, string>>): void {
  const output = openSync(join(folder, 'node-runner.log'), 'a', 0o600)
  const child = spawn(process.execPath, ['node-runner/main.ts'], {
    cwd: place.root,
    // Its own folder: several machines share this disk.
    env: { ...place.env, ...settings, RGRID_NODE_DIR: runnerDir(folder), [MARK]: `${place.instance}/${nameOf(id)}/machine` },
    stdio: ['ignore', output, output],
    detached: true,
  })
  closeSync(output)
  // One that cannot be started is a machine that is off.
  child.on('error', () => undefined)
  child.unref()
}

/** Whether its runner lives. */
export function isRunning(place: RunnerPlace, id: string): boolean {
  return pidsOf(place, id).length > 0
}

/** Ends the runner of a machine: asked first, then killed. */
export async function endRunner(place: RunnerPlace, id: string): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const pid of pidsOf(place, id)) {
      try {
        process.kill(pid, signal)
      } catch {
        // It ended between the look and the signal.
      }
    }
    const endsMs = performance.now() + STOP_MS
    while (pidsOf(place, id).length > 0 && performance.now() < endsMs) await delay(50)
  }
}

// Looked up anew each time: a pid is only signalled while the table says that it is this machine's.
function pidsOf(place: RunnerPlace, id: string): number[] {
  return findProcesses(place.instance)
    .filter((found) => found.name === nameOf(id))
    .map((found) => found.pid)
}

function nameOf(id: string): string {
  return `node-runner@${id}`
}
