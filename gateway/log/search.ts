import { RGridError } from '#core/errors.ts'
import type { LogMatch, LogSearchSummary } from '#core/log-search-api.ts'
import { monotonicMs } from '#core/service/time.ts'
import { type LogCandidate, readLogCandidates, type SearchScope } from '#store/log-candidates.ts'
import type { Principal } from '../access/caller.ts'
import type { TenantDeps } from '../deps.ts'
import { grepArchive, type Haul, type Needle } from './grep.ts'

/** Where a search goes on: with this attempt of the job at this position, behind so many matches in it. */
export interface SearchPlace {
  position: number
  attempt: number
  skip: number
}

/** What one request may cost; whichever is reached first ends it with a cursor. */
export interface SearchBudget {
  matches: number
  jobs: number
  bytes: number
  ms: number
}

/** See the interface; `matches` is the caller's. */
export const SEARCH_BUDGET: Omit<SearchBudget, 'matches'> = { jobs: 2000, bytes: 2 ** 30, ms: 20_000 }

const PAGE_JOBS = 100
/** Archives that are read at once. Their matches are answered in order. */
const AT_ONCE = 4

/** A cursor of a search: opaque to clients. */
export function encodePlace({ position, attempt, skip }: SearchPlace): string {
  return Buffer.from(`s1:${position}:${attempt}:${skip}`).toString('base64url')
}

/** The place of a cursor. Throws a validation error when it is none of ours. */
export function decodePlace(cursor: string): SearchPlace {
  const match = /^s1:(\d{1,15}):(\d{1,9}):(\d{1,9})$/.exec(Buffer.from(cursor, 'base64url').toString('utf8'))
  if (!match) {
    const issue = { path: 'cursor', message: 'take it from nextCursor of the answer before' }
    throw new RGridError('validation', `${issue.path}: ${issue.message}`, { issues: [issue] })
  }
  return { position: Number(match[1]), attempt: Number(match[2]), skip: Number(match[3]) }
}

/** Looks through archived logs and yields each line that holds the text, and in the end what was looked at. */
export async function* searchLogs(
  deps: TenantDeps,
  principal: Principal,
  scope: SearchScope,
  needle: Needle,
  from: SearchPlace | undefined,
  budget: SearchBudget,
): AsyncGenerator<LogMatch | LogSearchSummary> {
  const endMs = monotonicMs() + budget.ms
  const summary: LogSearchSummary['summary'] = { scannedJobs: 0, scannedBytes: 0, matches: 0, notArchived: 0, expired: 0, unreadable: 0, nextCursor: null }
  const stop = new AbortController()
  const skipOf = ({ position, number }: LogCandidate) => (from && position === from.position && number === from.attempt ? from.skip : 0)
  const grep = (candidate: LogCandidate): Promise<Haul> => {
    // One more than is wanted tells that there is more.
    const haul = grepArchive(deps, principal, candidate, needle, skipOf(candidate) + budget.matches + 1, stop.signal)
    haul.catch(() => undefined)
    return haul
  }
  let lastJob = ''
  try {
    for await (const [candidate, haul] of ahead(candidates(deps, principal, scope, from, summary), grep)) {
      const isNewJob = candidate.jobId !== lastJob
      if (
        summary.matches >= budget.matches ||
        summary.scannedBytes >= budget.bytes ||
        monotonicMs() > endMs ||
        (isNewJob && summary.scannedJobs >= budget.jobs)
      ) {
        summary.nextCursor = encodePlace({ position: candidate.position, attempt: candidate.number, skip: skipOf(candidate) })
        break
      }
      lastJob = candidate.jobId
      if (isNewJob) summary.scannedJobs++
      const { matches, bytes, unreadable } = await haul
      summary.scannedBytes += bytes
      if (unreadable) summary.unreadable++
      const skip = skipOf(candidate)
      const wanted = matches.slice(skip, skip + budget.matches - summary.matches)
      yield* wanted
      summary.matches += wanted.length
      if (skip + wanted.length >= matches.length) continue
      summary.nextCursor = encodePlace({ position: candidate.position, attempt: candidate.number, skip: skip + wanted.length })
      break
    }
  } finally {
    stop.abort()
  }
  yield { summary }
}

/** The attempts that have an archive, in order; the others are counted. */
async function* candidates(
  deps: TenantDeps,
  { projectId }: Principal,
  scope: SearchScope,
  from: SearchPlace | undefined,
  summary: LogSearchSummary['summary'],
): AsyncGenerator<LogCandidate> {
  const forward = scope.batchId !== undefined ? 1 : -1
  for (let position = from?.position; ; ) {
    const page = await readLogCandidates(deps.db, projectId, scope, position, PAGE_JOBS)
    for (const candidate of page) {
      if (from && candidate.position === from.position && candidate.number < from.attempt) continue
      if (candidate.expired) summary.expired++
      else if (!candidate.archived) summary.notArchived++
      else yield candidate
    }
    const last = page.at(-1)
    if (!last) return
    position = last.position + forward
    if (position < 0) return
  }
}

/** Begins the work of the next few items before that of the first is asked for. */
async function* ahead<T, R>(items: AsyncIterable<T>, work: (item: T) => R): AsyncGenerator<[T, R]> {
  const begun: [T, R][] = []
  for await (const item of items) {
    begun.push([item, work(item)])
    if (begun.length === AT_ONCE) yield begun.shift() as [T, R]
  }
  yield* begun
}
