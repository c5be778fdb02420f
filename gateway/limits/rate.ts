/** A bucket of tokens: it holds a second's worth of them, and fills steadily. */
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

/** Takes a token, if there is one. Pure but for the bucket, which is changed. */
export function takeToken(bucket: Bucket, perSecond: number, nowMs: number): Rate {
  bucket.tokens = Math.min(perSecond, bucket.tokens + (Math.max(0, nowMs - bucket.atMs) / 1000) * perSecond)
  bucket.atMs = nowMs
  const allowed = bucket.tokens >= 1
  if (allowed) bucket.tokens -= 1
  const missing = allowed ? perSecond - bucket.tokens : 1 - bucket.tokens
  return { allowed, perSecond, remaining: Math.floor(bucket.tokens), resetSeconds: Math.max(1, Math.ceil(missing / perSecond)) }
}

/** Buckets by name; those that are full again are forgotten. */
export interface Buckets {
  take(name: string, perSecond: number, nowMs: number): Rate
}

const SWEEP_EVERY_MS = 10_000

/** See the interface. */
export function createBuckets(): Buckets {
  const buckets = new Map<string, Bucket>()
  let sweptMs = 0
  return {
    take(name, perSecond, nowMs) {
      if (nowMs - sweptMs > SWEEP_EVERY_MS) {
        sweptMs = nowMs
        // After a second without a request it is full, and as good as new.
        for (const [old, bucket] of buckets) if (nowMs - bucket.atMs > 1000) buckets.delete(old)
      }
      const bucket = buckets.get(name) ?? { tokens: perSecond, atMs: nowMs }
      buckets.set(name, bucket)
      return takeToken(bucket, perSecond, nowMs)
    },
  }
}
