import type { FastifyRequest } from 'fastify'
import { type Issue, RGridError, validationError } from '#core/errors.ts'
import type { ResolvedSpec } from '#core/job/resolve.ts'
import type { Limits } from '#core/limit-api.ts'
import { formatMicrons } from '#core/money.ts'
import { nowMs } from '#core/service/time.ts'
import type { EffectiveLimits } from '#store/limits.ts'
import type { Tx } from '#store/pool.ts'
import { type Demand, type Exceeded, lockStorage, openAdmission } from '#store/usage.ts'
import { dbOf, principalOf } from '../access/authorise.ts'

/** When it is worth trying again whether jobs have ended. */
const RETRY_SECONDS = 10
/** The same, whether what is past its retention has gone. */
const STORAGE_RETRY_SECONDS = 300
/** What makes room. */
const STORAGE_ADVICE =
  'Outputs go by the retention of their project (shorten its artifactsDays), uploads with their project; or have the limit storageBytes raised'

const SIZES = [
  ['jobCpuMillis', 'cpuMillis', 'resources.cpu', (value: number) => `${value / 1000} CPUs`],
  ['jobMemoryBytes', 'memoryBytes', 'resources.memory', (value: number) => `${Math.floor(value / 2 ** 20)}Mi`],
  ['jobTimeoutSeconds', 'timeoutSeconds', 'timeoutSeconds', (value: number) => `${value} s`],
] as const satisfies readonly (readonly [keyof Limits, keyof ResolvedSpec, string, (value: number) => string])[]

/** Throws when a job is larger than the account or the project lets it be. `at` is where its spec stands in the document. */
export function checkSize(limits: EffectiveLimits, spec: ResolvedSpec, at: string): void {
  const issues: Issue[] = []
  for (const [limit, field, path, format] of SIZES) {
    for (const whose of ['account', 'project'] as const) {
      const max = limits[whose][limit]
      if (max !== null && spec[field] > max) issues.push({ path: `${at}.${path}`, message: `the ${whose} allows at most ${format(max)} for one job` })
    }
  }
  if (issues.length > 0) throw validationError(issues)
}

/** Throws when a batch has more items than the account or the project lets it have. */
export function checkBatchSize(limits: EffectiveLimits, items: number): void {
  for (const whose of ['account', 'project'] as const) {
    const max = limits[whose].batchItems
    if (max !== null && items > max) throw validationError([{ path: 'items', message: `the ${whose} allows at most ${max} in one batch; there are ${items}` }])
  }
}

/** Throws when what is submitted does not fit into what may be open, or be spent, or while storage is full, in the transaction that stores it. */
export async function requireRoom(tx: Tx, request: FastifyRequest, limits: EffectiveLimits, demand: Demand): Promise<void> {
  const admission = await openAdmission(tx, principalOf(request), limits)
  const exceeded = admission.admit(demand)
  if (exceeded) throw limitError(exceeded, demand)
  await admission.settle()
}

/** Does what needs room; when a monthly limit refuses it, that is told in a transaction of its own, as the other one is undone. */
export async function tellRefusal<T>(request: FastifyRequest, limits: EffectiveLimits, demand: Demand, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof RGridError && error.code === 'limit_exceeded')
      await dbOf(request).transaction(async (tx) => {
        const admission = await openAdmission(tx, principalOf(request), limits)
        if (admission.admit(demand)) await admission.settle()
      })
    throw error
  }
}

/** Throws when a file that is announced is beyond what the account or the project may keep, with what else is still to come. */
export async function requireStorage(
  tx: Tx,
  request: FastifyRequest,
  limits: EffectiveLimits,
  file: { id: string; bytes: number; urlSeconds: number },
): Promise<void> {
  const { bytes } = file
  const { accountId, projectId } = principalOf(request)
  for (const whose of ['account', 'project'] as const) {
    const max = limits[whose].storageBytes
    if (max === null) continue
    const storageBytes = await lockStorage(tx, accountId, whose === 'account' ? null : projectId, { fileId: file.id, urlSeconds: file.urlSeconds })
    if (storageBytes + bytes > max)
      throw new RGridError('limit_exceeded', `${keeps(whose, max, storageBytes)}, and this file has ${bytes}. ${STORAGE_ADVICE}`, {
        retryAfterSeconds: STORAGE_RETRY_SECONDS,
      })
  }
}

const keeps = (whose: string, max: number, used: number) => `the ${whose} may keep ${max} bytes; it keeps ${used}`

/** The refusal of what would pass a limit. */
export function limitError({ limit, whose, max, used }: Exceeded, demand: Demand): RGridError {
  if (limit === 'openJobs')
    return new RGridError('limit_exceeded', `the ${whose} may have ${max} jobs that have not ended; it has ${used}, and this would add ${demand.jobs}`, {
      retryAfterSeconds: RETRY_SECONDS,
    })
  if (limit === 'storageBytes')
    return new RGridError('limit_exceeded', `${keeps(whose, max, used)}, and while that is full no jobs are taken. ${STORAGE_ADVICE}`, {
      retryAfterSeconds: STORAGE_RETRY_SECONDS,
    })
  const cost = formatMicrons(demand.microns)
  return new RGridError(
    'limit_exceeded',
    `the ${whose} may spend ${formatMicrons(max)} a month; ${formatMicrons(used)} are spent or reserved, and this may cost ${cost} (its worst case: timeoutSeconds and retries decide)`,
    { retryAfterSeconds: secondsToNextMonth() },
  )
}

function secondsToNextMonth(): number {
  const now = new Date(nowMs())
  return Math.ceil((Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1) - now.getTime()) / 1000)
}
