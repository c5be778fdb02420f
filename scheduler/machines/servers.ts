import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { monotonicMs, nowMs } from '#core/service/time.ts'
import { type Cloud, CloudError, type Server } from '../cloud/cloud.ts'

/** What the provider has, as it was at one time. */
export interface Listing {
  servers: readonly Server[]
  /** How long ago it was asked for, in milliseconds: it says nothing of what happened since. */
  ageMs(): number
  /** Tells one listing from the next. */
  number: number
}

/** The provider's machines, read once for all who look at them. */
export interface Servers {
  /** The last listing while it is young enough; undefined when the provider does not say. */
  read(signal: AbortSignal): Promise<Listing | undefined>
  /** One that was asked for after this call. */
  fresh(signal: AbortSignal): Promise<Listing | undefined>
  /** Somebody waits for a change to be seen: the next listing comes sooner. */
  expectChange(): void
}

/** How often the provider is asked. */
export interface ListPace {
  /** The pause while a change is expected, and else, in milliseconds. */
  soonMs: number
  quietMs: number
  /** A change is expected for so long. */
  expectMs: number
  /** One call is one page: so many may be saved up for quick listings, and one comes in each `pageMs`. */
  savedPages: number
  pageMs: number
}

/** With it, the listings of 100 machines take about 100 calls an hour, of the 3,600 that Hetzner allows. */
export const LIST_PACE: ListPace = { soonMs: 10_000, quietMs: 60_000, expectMs: 120_000, savedPages: 20, pageMs: 36_000 }
/** https://docs.hetzner.cloud/reference/cloud#pagination: at most 50 entries a page. */
const PAGE = 50
/** After a call that failed there is none for so long, or until the provider's own time. */
const FAILED_MS = 10_000

/** See the interface. `clockMs` never goes back. */
export function createServers(cloud: Pick<Cloud, 'list'>, log: Log, pace: ListPace = LIST_PACE, clockMs: () => number = monotonicMs): Servers {
  let last: (Listing & { atMs: number }) | undefined
  let underWay: Promise<Listing | undefined> | undefined
  let expectedUntilMs = 0
  let blockedUntilMs = 0
  let listings = 0
  let fault: string | undefined
  let saved = { pages: pace.savedPages, atMs: clockMs() }

  async function ask(signal: AbortSignal): Promise<Listing | undefined> {
    const atMs = clockMs()
    if (atMs < blockedUntilMs) return undefined
    try {
      const servers = await cloud.list(signal)
      if (fault !== undefined) log.info('the provider lists its machines again')
      fault = undefined
      saved = { pages: savedPages() - pagesOf(servers.length), atMs: clockMs() }
      last = { servers, atMs, number: ++listings, ageMs: () => clockMs() - atMs }
      return last
    } catch (error) {
      signal.throwIfAborted()
      last = undefined
      const untilMs = error instanceof CloudError && error.retryAtMs !== null ? error.retryAtMs - nowMs() : 0
      blockedUntilMs = clockMs() + Math.max(pace.soonMs === 0 ? 0 : FAILED_MS, untilMs)
      const text = errorText(error)
      if (text !== fault) log.warn({ error: text }, 'the provider does not list its machines; nothing is bought, and nothing counts as gone')
      fault = text
      return undefined
    }
  }

  function savedPages(): number {
    return Math.min(pace.savedPages, saved.pages + (clockMs() - saved.atMs) / pace.pageMs)
  }

  function pauseMs(pages: number): number {
    const soon = clockMs() < expectedUntilMs && savedPages() >= pages
    return soon ? pace.soonMs : pace.quietMs + (pages - 1) * pace.pageMs
  }

  return {
    read(signal) {
      if (last && last.ageMs() < pauseMs(pagesOf(last.servers.length))) return Promise.resolve(last)
      underWay ??= ask(signal).finally(() => {
        underWay = undefined
      })
      return underWay
    },
    fresh: ask,
    expectChange() {
      expectedUntilMs = clockMs() + pace.expectMs
    },
  }
}

function pagesOf(servers: number): number {
  return Math.max(1, Math.ceil(servers / PAGE))
}

/** The machine of a node in a listing: by the provider's id when that is known, else by name or label. */
export function serverOf(listing: Listing, machine: { nodeId: string; name: string; serverId: string | null }): Server | undefined {
  if (machine.serverId !== null) return listing.servers.find((server) => server.id === machine.serverId)
  return listing.servers.find((server) => server.name === machine.name) ?? listing.servers.find((server) => server.nodeId === machine.nodeId)
}
