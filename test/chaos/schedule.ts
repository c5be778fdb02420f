/** What is done to the platform while it works. Each heals itself after `forMs`. */
export const DISTURBANCES = [
  'kill-gateway',
  'kill-scheduler',
  'kill-runner',
  'stop-runner-for-long',
  'pause-runner',
  'pause-scheduler',
  'drain-runner',
  'restart-nats',
  'restart-postgres',
  'stop-s3',
  'cut-network',
  'fill-disk',
] as const
/** See DISTURBANCES. */
export type DisturbanceKind = (typeof DISTURBANCES)[number]

/** One of them: when, to which of its kind (from 0), and for how long. */
export interface Disturbance {
  atMs: number
  kind: DisturbanceKind
  target: number
  forMs: number
}

/** What a schedule is made for. */
export interface SchedulePlan {
  seed: number
  durationMs: number
  leaseMs: number
  gateways: number
  schedulers: number
  runners: number
}

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32, https://gist.github.com/tommyettinger/46a874533244883189143505d203312c). */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * The disturbances of a run, in the order of time: each kind once before any comes again, close enough to overlap. The last
 * one is over before the duration is.
 */
export function planDisturbances(plan: SchedulePlan): Disturbance[] {
  const random = createRandom(plan.seed)
  const between = (low: number, high: number) => Math.round(low + random() * (high - low))
  const targets: Record<DisturbanceKind, number> = {
    'kill-gateway': plan.gateways,
    'kill-scheduler': plan.schedulers,
    'kill-runner': plan.runners,
    'stop-runner-for-long': plan.runners,
    'pause-runner': plan.runners,
    'pause-scheduler': plan.schedulers,
    'drain-runner': plan.runners,
    'restart-nats': 1,
    'restart-postgres': 1,
    'stop-s3': 1,
    'cut-network': 1,
    'fill-disk': 1,
  }
  const lengths: Record<DisturbanceKind, () => number> = {
    'kill-gateway': () => between(300, 3000),
    'kill-scheduler': () => between(300, 3000),
    'kill-runner': () => between(100, plan.leaseMs / 2),
    'stop-runner-for-long': () => between(plan.leaseMs * 1.3, plan.leaseMs * 2),
    'pause-runner': () => between(plan.leaseMs * 1.3, plan.leaseMs * 2),
    'pause-scheduler': () => between(plan.leaseMs * 1.3, plan.leaseMs * 2),
    'drain-runner': () => between(4000, 9000),
    'restart-nats': () => between(500, 5000),
    'restart-postgres': () => between(500, 5000),
    'stop-s3': () => between(3000, 12_000),
    'cut-network': () => between(plan.leaseMs * 1.3, plan.leaseMs * 2),
    'fill-disk': () => between(4000, 10_000),
  }
  const found: Disturbance[] = []
  const stepMs = Math.max(1500, Math.min(5000, plan.durationMs / DISTURBANCES.length - 500))
  let bag: DisturbanceKind[] = []
  for (let atMs = between(1500, 3000); ; atMs += between(stepMs * 0.6, stepMs * 1.2)) {
    if (bag.length === 0) bag = shuffle(DISTURBANCES, random)
    const kind = bag.pop() as DisturbanceKind
    const disturbance = { atMs, kind, target: Math.floor(random() * targets[kind]), forMs: lengths[kind]() }
    if (atMs + disturbance.forMs > plan.durationMs) {
      if (atMs > plan.durationMs - 2000) return found
      continue
    }
    found.push(disturbance)
  }
}

function shuffle<T>(things: readonly T[], random: () => number): T[] {
  const left = [...things]
  const shuffled: T[] = []
  while (left.length > 0) shuffled.push(...left.splice(Math.floor(random() * left.length), 1))
  return shuffled
}
