import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { clearMachines } from '../machines/clear.ts'
import { removeContainers } from './container.ts'
import { findEngine } from './engine.ts'
import { clearNode } from './leftovers.ts'
import { endOtherBringUp, withLock } from './lock.ts'
import { machinesDir } from './process-env.ts'
import { stopProcesses } from './processes.ts'
import { say } from './progress.ts'
import type { Settings } from './settings.ts'
import { readIfThere } from './state.ts'

/** Ends this instance's processes and containers. Data, secrets and images stay, and so does the Docker engine. */
export async function stop(settings: Settings): Promise<void> {
  await endOtherBringUp(settings, 20_000)
  await withLock(settings, async () => {
    const processes = await stopProcesses(settings)
    const docker = await findEngine()
    const containers = docker ? await removeContainers(settings, docker) : []
    const leftovers = await clearNode(join(settings.stateDir, 'node'), docker)
    const machines = await clearMachines(docker, machinesDir(settings))
    const stopped = [...processes, ...containers, ...leftovers, ...machines]
    say(stopped.length > 0 ? `stopped ${stopped.join(', ')}` : 'nothing was running')
    const enginePid = readIfThere(join(settings.stateDir, 'run', 'dockerd.pid'))?.trim()
    if (enginePid && docker) say(`the Docker engine that was started here keeps running (pid ${enginePid}); end it with: kill ${enginePid}`)
    else if (enginePid) rmSync(join(settings.stateDir, 'run', 'dockerd.pid'), { force: true })
  })
}

/** Ends the backing services only. */
export async function stopOnlyServices(settings: Settings): Promise<void> {
  await withLock(settings, async () => {
    const docker = await findEngine()
    const containers = docker ? await removeContainers(settings, docker) : []
    say(containers.length > 0 ? `stopped ${containers.join(', ')}` : 'no service was running')
  })
}
