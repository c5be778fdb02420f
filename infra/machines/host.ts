import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type Docker from 'dockerode'
import { writeWhole } from '../local/state.ts'
import { clearMachine } from './clear.ts'
import { type MachineOrder, nodeSettings } from './order.ts'
import { endRunner, isRunning, type RunnerPlace, startRunner } from './runner.ts'

const Machine = Type.Object({
  id: Type.String(),
  name: Type.String(),
  nodeId: Type.String(),
  serverType: Type.String(),
  location: Type.String(),
  createdAtMs: Type.Integer(),
  removing: Type.Boolean(),
})
/** A machine as it is kept in its folder. */
export type Machine = Static<typeof Machine>

/** The same as it is listed. */
export type ListedMachine = Omit<Machine, 'removing'> & { status: 'running' | 'off' | 'deleting' }

/** Why an order was not taken; `code` is what the caller goes by. */
export class OrderError extends Error {
  readonly code: 'exists' | 'limit' | 'invalid'

  constructor(code: OrderError['code'], message: string) {
    super(message)
    this.name = 'OrderError'
    this.code = code
  }
}

/** What the host needs. */
export interface HostOptions {
  docker: Docker
  /** Each machine has a folder of its own in it. */
  dir: string
  /** The most that there may be. */
  maxMachines: number
  /** How runners are started. */
  place: RunnerPlace
  nowMs(): number
  say(text: string): void
}

/** Provides machines: real node-runners, each a process with a folder of its own on this host. */
export interface MachineHost {
  /** Throws an OrderError. */
  create(order: MachineOrder): ListedMachine
  list(): ListedMachine[]
  /** Begins to take a machine away; resolves when it is gone. One that is not there is fine. */
  remove(id: string): Promise<void>
  /** Goes on with removals that an earlier run of this process began. */
  resume(): Promise<void>
}

/** See the interface. What it knows is in the folders and in the process table, so that it may be killed at any time. */
export function createHost(options: HostOptions): MachineHost {
  const { dir } = options
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const removals = new Map<string, Promise<void>>()
  const folderOf = (id: string) => join(dir, id)

  function read(): Machine[] {
    return readdirSync(dir)
      .map((id) => join(folderOf(id), 'machine.json'))
      .filter((path) => existsSync(path))
      .map((path): unknown => JSON.parse(readFileSync(path, 'utf8')))
      .filter((value) => Value.Check(Machine, value))
  }

  function write(machine: Machine): void {
    mkdirSync(folderOf(machine.id), { recursive: true, mode: 0o700 })
    writeWhole(join(folderOf(machine.id), 'machine.json'), JSON.stringify(machine))
  }

  function listed({ removing, ...machine }: Machine): ListedMachine {
    return { ...machine, status: removing ? 'deleting' : isRunning(options.place, machine.id) ? 'running' : 'off' }
  }

  async function takeAway(machine: Machine): Promise<void> {
    write({ ...machine, removing: true })
    await endRunner(options.place, machine.id)
    await clearMachine(options.docker, folderOf(machine.id))
    rmSync(folderOf(machine.id), { recursive: true, force: true })
    options.say(`machine ${machine.name} (${machine.id}) is gone`)
  }

  return {
    create(order) {
      const machines = read()
      if (machines.some((machine) => machine.name === order.name)) throw new OrderError('exists', `there is a machine ${order.name} already`)
      if (machines.length >= options.maxMachines) throw new OrderError('limit', `there are ${machines.length} machines, and no more are allowed here`)
      const settings = nodeSettings(order.userData)
      if (!settings) throw new OrderError('invalid', 'the user data holds no settings of a node-runner')
      const { name, nodeId, serverType, location } = order
      const machine = { id: randomBytes(6).toString('hex'), name, nodeId, serverType, location, createdAtMs: options.nowMs(), removing: false }
      write(machine)
      startRunner(options.place, machine.id, folderOf(machine.id), settings)
      options.say(`machine ${name} (${machine.id}) is there`)
      return listed(machine)
    },
    list: () => read().map(listed),
    remove(id) {
      const machine = read().find((found) => found.id === id)
      if (!machine) return Promise.resolve()
      const removal =
        removals.get(id) ??
        takeAway(machine).finally(() => {
          removals.delete(id)
        })
      removals.set(id, removal)
      return removal
    },
    async resume() {
      for (const machine of read().filter(({ removing }) => removing)) await this.remove(machine.id)
    },
  }
}
