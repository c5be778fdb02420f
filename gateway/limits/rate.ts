/** A bucket of tokens: it holds a second's worth of them, and fills steadily. It may owe some. */
export interface Bucket {
  tokens: number
  atMs: number
}

/** How a request stands to one limit of requests per second. */
export interface Rate {
  allowed: boolean
  perSecond: number
  remaining: number
  /** Until the next request is allowed, in whole seconds, at least 1; of an allowed one, until the bucket is full. */
  resetSeconds: number
}

/** What others took is remembered up to so many seconds' worth: the bursts of a dozen gateways. */
const MAX_DEBT_SECONDS = 10

/** Takes a token, if there is one. Pure but for the bucket, which is changed. */
export function takeToken(bucket: Bucket, perSecond: number, nowMs: number): Rate {
  fill(bucket, perSecond, nowMs)
  const allowed = bucket.tokens >= 1
  if (allowed) bucket.tokens -= 1
  const missing = allowed ? perSecond - bucket.tokens : 1 - bucket.tokens
  return { allowed, perSecond, remaining: Math.max(0, Math.floor(bucket.tokens)), resetSeconds: Math.max(1, Math.ceil(missing / perSecond)) }
}

/** Takes off what was taken elsewhere, also what is not there: then it has to fill up first. Pure but for the bucket. */
export function owe(bucket: Bucket, perSecond: number, tokens: number, nowMs: number): void {
  fill(bucket, perSecond, nowMs)
  bucket.tokens = Math.max(-MAX_DEBT_SECONDS * perSecond, bucket.tokens - tokens)
}

function fill(bucket: Bucket, perSecond: number, nowMs: number): void {
  // A limit that was lowered does not leave a debt of the old one.
  const had = Math.max(-MAX_DEBT_SECONDS * perSecond, bucket.tokens)
  bucket.tokens = Math.min(perSecond, had + (Math.max(0, nowMs - bucket.atMs) / 1000) * perSecond)
  bucket.atMs = nowMs
}

/** Buckets by name; those that are full again are forgotten. */
export interface Buckets {
  take(name: string, perSecond: number, nowMs: number): Rate
  /** See `owe`. */
  owe(name: string, perSecond: number, tokens: number, nowMs: number): void
}

const SWEEP_EVERY_MS = 10_000
/** After that long without a request a bucket is full, and as good as new, whatever it owed. */
const FULL_AFTER_MS = (1 + MAX_DEBT_SECONDS) * 1000

/** See the interface. */
export function createBuckets(): Buckets {
  const buckets = new Map<string, Bucket>()
  let sweptMs = 0

  function of(name: string, perSecond: number, nowMs: number): Bucket {
    if (nowMs - sweptMs > SWEEP_EVERY_MS) {
      sweptMs = nowMs
      for (const [old, bucket] of buckets) if (nowMs - bucket.atMs > FULL_AFTER_MS) buckets.delete(old)
    }
    const bucket = buckets.get(name) ?? { tokens: perSecond, atMs: nowMs }
    buckets.set(name, bucket)
    return bucket
  }

  return {
    take: (name, perSecond, nowMs) => takeToken(of(name, perSecond, nowMs), perSecond, nowMs),
    owe: (name, perSecond, tokens, nowMs) => owe(of(name, perSecond, nowMs), perSecond, tokens, nowMs),
  }
}
