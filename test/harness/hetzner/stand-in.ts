import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { every, nowMs, sleep } from '#core/service/time.ts'
import type { ManualClock } from '../clock.ts'
import { createFaults, type Faults } from './faults.ts'
import { makeListener, type SeenCall } from './http.ts'
import { createRate, type Rate } from './rate.ts'
import { makeRoutes } from './routes.ts'
import { bootServers } from './servers.ts'
import { type Booted, createWorld, makeNamed, type ServerRecord, type World, type WorldOptions } from './world.ts'

/** A project at Hetzner, on loopback. */
export interface HetznerStandIn {
  /** What RGRID_HCLOUD_URL and HCLOUD_ENDPOINT are to be. */
  url: string
  token: string
  /** Everything in it, to look at and to change behind the client's back. */
  world: World
  faults: Faults
  rate: Rate
  /** Every call that came. */
  calls: SeenCall[]
  /** Makes a network, firewall or SSH key; returns its id. */
  addNamed(kind: 'networks' | 'firewalls' | 'sshKeys', name: string, labels?: Record<string, string>): number
  /** Lets what is due happen; happens by itself at each call, at each move of the clock, or many times a second. */
  settle(): void
  /** Ends it, and what its servers run. */
  stop(): Promise<void>
}

/** How it is to be; a moment for everything, and no limit that matters, when left out. */
export interface StandInOptions extends Partial<Omit<WorldOptions, 'now'>> {
  port?: number
  token?: string
  clock?: ManualClock
  limitPerHour?: number
  /** Whether `/datacenters` still answers. The real one says 410 since October 2026; clients from before ask for it. */
  datacenters?: boolean
}

const SETTLE_MS = 50

/** Starts one. Call `stop` in the end. */
export async function startHetzner(options: StandInOptions = {}): Promise<HetznerStandIn> {
  const now = options.clock?.now ?? nowMs
  const systems = new Set<Booted>()
  const boot = options.boot
  const tracked = (server: ServerRecord) => {
    const booted = boot?.(server)
    if (booted) systems.add(booted)
    return booted
  }
  const world = createWorld({
    now,
    createMs: options.createMs ?? 0,
    startMs: options.startMs ?? 0,
    deleteMs: options.deleteMs ?? 0,
    bootMs: options.bootMs ?? 0,
    limits: options.limits ?? { servers: 1000, addresses: 2000, groups: 50 },
    boot: tracked,
  })
  const token = options.token ?? 'stand-in-token'
  const faults = createFaults()
  const rate = createRate(options.limitPerHour ?? 3600, now)
  const calls: SeenCall[] = []
  const settle = () => {
    world.actions.settle()
    bootServers(world)
  }
  const routes = makeRoutes(world, options.datacenters ?? false)
  const wait = (ms: number) => (options.clock ? options.clock.wait(ms) : sleep(ms))
  const server = createServer(makeListener({ token, routes, faults, rate, calls, now, wait, settle }))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  options.clock?.onMove(settle)
  const stopSettling = options.clock ? () => undefined : every(SETTLE_MS, settle)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    token,
    world,
    faults,
    rate,
    calls,
    addNamed(kind, name, labels = {}) {
      const named = makeNamed(world, name, labels)
      world[kind].set(named.id, named)
      return named.id
    },
    settle,
    async stop() {
      stopSettling()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      for (const booted of systems) booted.kill()
      await Promise.all([...systems].map(({ ended }) => ended))
    },
  }
}
