import { createRandom, type Random } from './random.ts'

/** A job that arrives. Times in seconds since the trace began. */
export interface Arrival {
  atSeconds: number
  slots: number
  memoryBytes: number
  durationSeconds: number
}

/** What arrives, in the order of time. */
export interface Trace {
  name: string
  about: string
  arrivals: Arrival[]
  /** Called when a node's paid time has ended for good; what it returns arrives as well. */
  onGone?: ((atSeconds: number) => Arrival | undefined) | undefined
}

/** How long every trace is. */
export const DAYS = 30
const DAY = 86_400
const END = DAYS * DAY
const GI = 2 ** 30

/** The traces that `npm run sim` replays. The same seed gives the same ones. */
export function shippedTraces(seed: number): Trace[] {
  return [
    { name: 'daily', about: 'a wave: hardly a job at night, 12 at once at noon, of 2 min', arrivals: daily(createRandom(seed)) },
    { name: 'bursty', about: 'a job now and then; some times a day 20 to 80 at once', arrivals: bursty(createRandom(seed + 1)) },
    { name: 'office', about: 'pushes on working days from 8 to 18, 4 to 12 jobs each of 20 s to 6 min', arrivals: office(createRandom(seed + 2)) },
    { name: 'batch', about: 'one batch of 400 jobs of 1 to 3 min in 30 days', arrivals: batch(createRandom(seed + 3)) },
    { name: 'sparse', about: 'a job of half a minute every 40 min, at random', arrivals: sparse(createRandom(seed + 4)) },
    { name: 'steady', about: 'six jobs of 5 min at once on average, day and night', arrivals: steady(createRandom(seed + 5)) },
    adversary(),
  ]
}

function job(random: Random, atSeconds: number, meanSeconds: number, spread: number): Arrival {
  const large = random.next() < 0.1
  const durationSeconds = Math.min(3600, Math.max(2, random.lognormal(meanSeconds, spread)))
  return { atSeconds, slots: large ? 2 : 1, memoryBytes: large ? 2 * GI : GI, durationSeconds }
}

/** Arrivals at a rate that changes: those of the highest rate, thinned. */
function thinned(random: Random, most: number, rateAt: (seconds: number) => number, make: (seconds: number) => Arrival[]): Arrival[] {
  const arrivals: Arrival[] = []
  for (let at = random.untilNext(most); at < END; at += random.untilNext(most)) {
    if (random.next() * most < rateAt(at)) arrivals.push(...make(at))
  }
  return arrivals.sort((a, b) => a.atSeconds - b.atSeconds)
}

function daily(random: Random): Arrival[] {
  const [mean, low, high] = [120, 0.5, 12]
  const rate = (at: number) => (low + ((high - low) * (1 - Math.cos((2 * Math.PI * at) / DAY))) / 2) / (mean * 1.1)
  return thinned(random, high / (mean * 1.1), rate, (at) => [job(random, at, mean, 0.8)])
}

function bursty(random: Random): Arrival[] {
  const alone = thinned(
    random,
    2 / 3600,
    () => 1,
    (at) => [job(random, at, 60, 0.8)],
  )
  const together = thinned(
    random,
    4 / DAY,
    () => 1,
    (at) => Array.from({ length: Math.round(random.between(20, 80)) }, () => job(random, at + random.between(0, 10), 90, 0.6)),
  )
  return [...alone, ...together].sort((a, b) => a.atSeconds - b.atSeconds)
}

function office(random: Random): Arrival[] {
  const isOpen = (at: number) => Math.floor(at / DAY) % 7 < 5 && at % DAY >= 8 * 3600 && at % DAY < 18 * 3600
  const push = (at: number) => Array.from({ length: Math.round(random.between(4, 12)) }, () => job(random, at + random.between(0, 20), 110, 0.7))
  return thinned(random, 4 / 3600, (at) => (isOpen(at) ? 1 : 0), push)
}

function batch(random: Random): Arrival[] {
  const at = 3 * DAY + 1234
  return Array.from({ length: 400 }, (_, i) => ({ atSeconds: at + i / 100, slots: 1, memoryBytes: GI, durationSeconds: random.between(60, 180) }))
}

function sparse(random: Random): Arrival[] {
  return thinned(
    random,
    1 / 2400,
    () => 1,
    (at) => [job(random, at, 30, 0.5)],
  )
}

function steady(random: Random): Arrival[] {
  const rate = 6 / (300 * 1.1)
  return thinned(
    random,
    rate,
    () => 1,
    (at) => [job(random, at, 300, 0.5)],
  )
}

/** The worst for a policy that pays by the hour: the next job comes the moment that the machine for the last one is gone. */
function adversary(): Trace {
  const short = (atSeconds: number): Arrival => ({ atSeconds, slots: 1, memoryBytes: GI, durationSeconds: 10 })
  return {
    name: 'adversary',
    about: 'a job of 10 s arrives one second after each deletion',
    arrivals: [short(60)],
    onGone: (at) => (at < END ? short(at + 1) : undefined),
  }
}
