import fc from 'fast-check'
import { faultOf } from './check.ts'
import type { Operation } from './operations.ts'
import { type Fuzzed, requestsOf } from './requests.ts'
import { asCurl, type RawAnswer, send } from './send.ts'
import { changed, createWitness, type Witness } from './witness.ts'
import type { Credential, World } from './world.ts'

const DEADLINE_MS = 15_000
/** So many routes are asked at once. */
const AT_ONCE = 6

/** What a run came to. */
export interface Outcome {
  requests: number
  /** Further ones, that were refused and sent again to see that they store nothing. */
  repeats: number
  /** By route and status. */
  counts: Map<string, Map<number, number>>
  slowest: { ms: number; name: string }
  /** Of each route the first that broke a promise, as small as it could be made. */
  failures: string[]
}

/**
 * Sends so many requests, the same ones for the same seed as far as what is there is the same, in rounds over all routes, and stops
 * at the first that breaks a promise. After each round all that were refused are sent again, and nothing may have been stored.
 */
export async function fuzz(world: World, total: number, seed: number, told: (outcome: Outcome) => void = () => undefined): Promise<Outcome> {
  const outcome: Outcome = { requests: 0, repeats: 0, counts: new Map(), slowest: { ms: 0, name: '' }, failures: [] }
  const witness = await createWitness(world.gateway.admin)
  const each = Math.max(1, Math.min(12, Math.ceil(total / world.operations.length)))
  for (let round = 0; outcome.requests < total && outcome.failures.length === 0; round++) {
    await world.settle()
    const credentials = await world.credentials()
    const refused: Fuzzed[] = []
    const left = [...world.operations]
    const worker = async () => {
      for (let operation = left.shift(); operation && outcome.requests < total; operation = left.shift()) {
        const how = { runs: Math.min(each, total - outcome.requests), seed: seed + round }
        const failure = await askRoute(world, operation, credentials, how, outcome, refused)
        if (failure !== undefined) outcome.failures.push(failure)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    const stored = await sendRefused(world, witness, refused, outcome)
    if (stored !== undefined) outcome.failures.push(stored)
    told(outcome)
  }
  return outcome
}

/** Asks one route; returns what broke, shrunk. */
async function askRoute(
  world: World,
  operation: Operation,
  credentials: readonly Credential[],
  { runs, seed }: { runs: number; seed: number },
  outcome: Outcome,
  refused: Fuzzed[],
): Promise<string | undefined> {
  const property = fc.asyncProperty(requestsOf(operation, world.objects, credentials), async (fuzzed) => {
    outcome.requests++
    const { answer, fault } = await ask(world, fuzzed)
    if (fault !== undefined) throw new Error(fault)
    if (!answer) return
    note(outcome, operation.name, answer)
    remember(world, operation, answer)
    if (answer.status >= 400) refused.push(fuzzed)
  })
  const result = await fc.check(property, { numRuns: runs, seed, endOnFailure: false })
  if (!result.failed) return undefined
  const [fuzzed] = result.counterexample ?? []
  const why = result.errorInstance instanceof Error ? result.errorInstance.message : String(result.errorInstance)
  const how = `${operation.name} by ${fuzzed?.who}, changed: ${fuzzed?.change} (seed ${result.seed}, path ${result.counterexamplePath}, shrunk ${result.numShrinks} times)`
  return `${how}\n${why}\n${fuzzed ? asCurl(world.port, fuzzed.request) : ''}\n${errorsOf(world)}`
}

async function ask(world: World, { request }: Fuzzed): Promise<{ answer?: RawAnswer; fault?: string }> {
  try {
    const answer = await send(world.port, request, DEADLINE_MS)
    const fault = faultOf(answer, request.method)
    return fault === undefined ? { answer } : { answer, fault }
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error) }
  }
}

/** Sends what was refused once more, by itself: nothing may be stored. Which one did is found by halving. */
async function sendRefused(world: World, witness: Witness, refused: readonly Fuzzed[], outcome: Outcome): Promise<string | undefined> {
  const stillRefused: Fuzzed[] = []
  const tables = await around(world, witness, refused, outcome, stillRefused)
  if (tables.length === 0) return undefined
  // What was taken this time, as the world is another one by now, is left out.
  let suspects = stillRefused
  if ((await around(world, witness, suspects, outcome)).length === 0) return undefined
  while (suspects.length > 1) {
    const half = suspects.slice(0, Math.ceil(suspects.length / 2))
    suspects = (await around(world, witness, half, outcome)).length > 0 ? half : suspects.slice(half.length)
  }
  const [guilty] = suspects
  if (!guilty) return undefined
  const again: Fuzzed[] = []
  const written = await around(world, witness, [guilty], outcome, again)
  if (written.length === 0 || again.length === 0) return undefined
  return `a refused request stored something: ${written.join('; ')} (by ${guilty.who}, changed: ${guilty.change})\n${asCurl(world.port, guilty.request)}`
}

/** The tables that changed while these were sent. */
async function around(world: World, witness: Witness, some: readonly Fuzzed[], outcome: Outcome, refused: Fuzzed[] = []): Promise<string[]> {
  const before = await witness.look()
  const left = [...some]
  const worker = async () => {
    for (let one = left.shift(); one; one = left.shift()) {
      outcome.repeats++
      const { answer } = await ask(world, one)
      if (answer && answer.status >= 400) refused.push(one)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return changed(before, await witness.look())
}

function note(outcome: Outcome, name: string, { status, ms }: RawAnswer): void {
  const counts = outcome.counts.get(name) ?? new Map<number, number>()
  outcome.counts.set(name, counts.set(status, (counts.get(status) ?? 0) + 1))
  if (ms > outcome.slowest.ms) outcome.slowest = { ms, name }
}

/** What was made can be asked for. */
function remember(world: World, operation: Operation, { status, headers }: RawAnswer): void {
  const [, kind, id] = /^\/v1\/(\w+)\/(\w+)$/.exec(headers.get('location') ?? '') ?? []
  if (status !== 201 || kind === undefined || id === undefined || operation.method !== 'POST') return
  world.objects.set(kind, [...(world.objects.get(kind) ?? []), id].slice(-200))
}

/** What the gateway logged of it. */
function errorsOf({ gateway }: World): string {
  return gateway.logged
    .filter((line) => line.includes('"request failed"'))
    .slice(-2)
    .join('')
}
