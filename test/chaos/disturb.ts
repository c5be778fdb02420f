import { sleep } from '#core/service/time.ts'
import type { Client } from './client.ts'
import type { Victim } from './process.ts'
import type { Disturbance } from './schedule.ts'
import type { Stack } from './stack.ts'

const STOP_MS = 15_000

/** Does to the platform what the schedule says, each thing undone by itself; resolves when all is whole again. */
export async function disturb(stack: Stack, client: Client, schedule: readonly Disturbance[], say: (text: string) => void): Promise<void> {
  const startedMs = performance.now()
  const running: Promise<void>[] = []
  for (const disturbance of schedule) {
    await sleep(Math.max(0, disturbance.atMs - (performance.now() - startedMs)))
    say(`${disturbance.kind} ${disturbance.target} for ${(disturbance.forMs / 1000).toFixed(1)} s`)
    running.push(inflict(stack, client, disturbance).catch((error: unknown) => say(`${disturbance.kind}: ${String(error)}`)))
  }
  await Promise.all(running)
}

/** Undoes whatever may be left: everything runs, nothing is paused, cut or full. */
export async function heal(stack: Stack): Promise<void> {
  await Promise.all((['postgres', 'nats', 's3'] as const).map((name) => stack.server(name, 'start')))
  await stack.network.mend()
  await stack.fillDisk(false)
  for (const victim of [...stack.gateways, ...stack.schedulers, ...stack.runners]) {
    victim.resume()
    victim.start()
  }
}

async function inflict(stack: Stack, client: Client, { kind, target, forMs }: Disturbance): Promise<void> {
  const at = (victims: Victim[]) => victims[target % victims.length] as Victim
  switch (kind) {
    case 'kill-gateway':
      return killFor(at(stack.gateways), forMs)
    case 'kill-scheduler':
      return killFor(at(stack.schedulers), forMs)
    case 'kill-runner':
    case 'stop-runner-for-long':
      return killFor(at(stack.runners), forMs)
    case 'pause-runner':
      return pauseFor(at(stack.runners), forMs)
    case 'pause-scheduler':
      return pauseFor(at(stack.schedulers), forMs)
    case 'drain-runner':
      return drainFor(at(stack.runners), client, target, forMs)
    case 'restart-nats':
      return serverAwayFor(stack, 'nats', forMs)
    case 'restart-postgres':
      return serverAwayFor(stack, 'postgres', forMs)
    case 'stop-s3':
      return serverAwayFor(stack, 's3', forMs)
    case 'cut-network':
      await stack.network.cut()
      await sleep(forMs)
      return stack.network.mend()
    case 'fill-disk':
      await stack.fillDisk(true)
      await sleep(forMs)
      return stack.fillDisk(false)
  }
}

async function killFor(victim: Victim, forMs: number): Promise<void> {
  await victim.kill()
  await sleep(forMs)
  victim.start()
}

async function pauseFor(victim: Victim, forMs: number): Promise<void> {
  victim.pause()
  await sleep(forMs)
  victim.resume()
}

/** Half of the drains are asked for at the API, half by SIGTERM. */
async function drainFor(victim: Victim, client: Client, target: number, forMs: number): Promise<void> {
  const node = forMs % 2 === 0 ? await client.nodeNamed(`chaos-${target}`) : undefined
  if (node) {
    await client.post(`/v1/nodes/${node}/drain`)
    await sleep(forMs)
    await client.post(`/v1/nodes/${node}/resume`)
    return
  }
  await victim.stop(STOP_MS)
  await sleep(forMs)
  victim.start()
}

async function serverAwayFor(stack: Stack, name: 'postgres' | 'nats' | 's3', forMs: number): Promise<void> {
  await stack.server(name, 'kill')
  await sleep(forMs)
  await stack.server(name, 'start')
}
