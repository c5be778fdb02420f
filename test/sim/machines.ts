import type { NodeState } from '#core/node.ts'
import type { Priced } from '../../scheduler/cloud/cloud.ts'
import { HOUR_MS } from '../../scheduler/plan/billing.ts'
import type { Policy } from '../../scheduler/plan/plan.ts'
import type { Job } from './world.ts'

/** A machine of the simulation. Times in seconds. */
export interface Machine {
  nodeId: string
  offer: Priced
  state: NodeState
  stateAtSeconds: number
  billedFromSeconds: number | null
  idleSinceSeconds: number | null
  jobs: Set<Job>
  usedSlots: number
  usedMemoryBytes: number
  busySinceSeconds: number
  /** For how long it ran something. */
  busySeconds: number
}

/** The machines there are, and what runs on them. */
export interface Machines {
  readonly all: Map<string, Machine>
  add(offer: Priced, now: number): Machine
  setState(nodeId: string, state: NodeState, now: number): void
  start(machine: Machine, job: Job, now: number): void
  end(machine: Machine, job: Job, now: number): void
  /** The ready one with most free slots that a job fits on. */
  roomFor(job: Job): Machine | undefined
  freeSlots(): number
  /** Whether all are ready and have nothing to do. */
  allIdle(): boolean
  /** When the first of idle machines may be due to go. */
  firstDue(policy: Policy): number
}

/** See Machines. */
export function createMachines(): Machines {
  const all = new Map<string, Machine>()
  let made = 0

  return {
    all,
    add(offer, now) {
      const nodeId = `node_${++made}`
      const none = { billedFromSeconds: null, idleSinceSeconds: null, usedSlots: 0, usedMemoryBytes: 0, busySinceSeconds: 0, busySeconds: 0 }
      const machine: Machine = { nodeId, offer, state: 'planned', stateAtSeconds: now, jobs: new Set(), ...none }
      all.set(nodeId, machine)
      return machine
    },
    setState(nodeId, state, now) {
      const machine = all.get(nodeId)
      if (machine) Object.assign(machine, { state, stateAtSeconds: now })
    },
    start(machine, job, now) {
      if (machine.jobs.size === 0) machine.busySinceSeconds = now
      machine.idleSinceSeconds = null
      machine.jobs.add(job)
      machine.usedSlots += job.slots
      machine.usedMemoryBytes += job.memoryBytes
    },
    end(machine, job, now) {
      machine.jobs.delete(job)
      machine.usedSlots -= job.slots
      machine.usedMemoryBytes -= job.memoryBytes
      if (machine.jobs.size > 0) return
      machine.busySeconds += now - machine.busySinceSeconds
      machine.idleSinceSeconds = now
    },
    roomFor(job) {
      let best: Machine | undefined
      for (const machine of all.values()) {
        const free = machine.offer.slots - machine.usedSlots
        if (machine.state !== 'ready' || free < job.slots || machine.offer.memoryBytes - machine.usedMemoryBytes < job.memoryBytes) continue
        if (!best || free > best.offer.slots - best.usedSlots) best = machine
      }
      return best
    },
    freeSlots() {
      let free = 0
      for (const machine of all.values()) if (machine.state === 'ready') free += machine.offer.slots - machine.usedSlots
      return free
    },
    allIdle() {
      for (const machine of all.values()) if (machine.state !== 'ready' || machine.jobs.size > 0) return false
      return true
    },
    firstDue(policy) {
      let first = Number.POSITIVE_INFINITY
      for (const { billedFromSeconds, idleSinceSeconds, stateAtSeconds } of all.values()) {
        const from = billedFromSeconds ?? stateAtSeconds
        const idle = Math.max(idleSinceSeconds ?? 0, stateAtSeconds)
        if (policy.keep === 'idle') first = Math.min(first, (idleSinceSeconds ?? idle) + policy.idleSeconds, from + policy.lifetimeSeconds)
        else first = Math.min(first, from + (Math.floor((idle - from) / (HOUR_MS / 1000)) + 1) * (HOUR_MS / 1000) - policy.marginSeconds)
      }
      return first
    },
  }
}
