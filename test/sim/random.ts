/** Numbers that look random and are the same for the same seed (mulberry32). */
export interface Random {
  /** From 0 to 1, without 1. */
  next(): number
  between(low: number, high: number): number
  /** Time to the next of events that happen `perSecond` times a second. */
  untilNext(perSecond: number): number
  /** Lognormal with this mean; `spread` is the deviation of its logarithm. */
  lognormal(mean: number, spread: number): number
}

/** See Random. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    next,
    between: (low, high) => low + next() * (high - low),
    untilNext: (perSecond) => -Math.log(1 - next()) / perSecond,
    lognormal(mean, spread) {
      const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
      return mean * Math.exp(spread * normal - (spread * spread) / 2)
    },
  }
}
