import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RGridError } from '#core/errors.ts'
import { createPlaces, type Place, type Places } from '../../../gateway/bulk/places.ts'

const MI = 2 ** 20
/** A gateway that stops keeps no refusal back. */
const STOPPING = AbortSignal.abort()
const refused = (code: string) => (error: unknown) => error instanceof RGridError && error.code === code && error.retryAfterSeconds !== undefined

/** A batch that has its place until it is let go. */
async function open(places: Places, accountId: string): Promise<{ place: Place; end(): Promise<void> }> {
  const opened = Promise.withResolvers<Place>()
  const over = Promise.withResolvers<void>()
  const ended = places.within(accountId, async (place) => {
    opened.resolve(place)
    await over.promise
  })
  return {
    place: await opened.promise,
    end: () => {
      over.resolve()
      return ended
    },
  }
}

test('what has not come takes nothing: an account may have any number of small batches, and four large ones', async () => {
  const places = createPlaces(100 * MI, STOPPING)
  const batches = await Promise.all(Array.from({ length: 40 }, () => open(places, 'a')))
  for (const { place } of batches) await place.take(1000)
  for (const { place } of batches.slice(0, 4)) await place.take(MI)
  await assert.rejects(async () => batches[4]?.place.take(MI), refused('limit_exceeded'))
  const other = await open(places, 'b')
  await other.place.take(MI)
  await batches[0]?.end()
  await batches[4]?.place.take(MI)
})

test('an account may hold as much as it leaves free, so there is always room for the next', async () => {
  const places = createPlaces(120 * MI, STOPPING)
  const a = await open(places, 'a')
  await a.place.take(60 * MI)
  await assert.rejects(async () => a.place.take(1), refused('unavailable'))
  const b = await open(places, 'b')
  await b.place.take(30 * MI)
  await assert.rejects(async () => b.place.take(1), refused('unavailable'))
  const c = await open(places, 'c')
  await c.place.take(15 * MI)
  await a.end()
  await b.place.take(20 * MI)
})

test('a batch that fails gives back what it held', async () => {
  const places = createPlaces(10 * MI, STOPPING)
  for (let i = 0; i < 10; i++)
    await assert.rejects(
      places.within('a', async (place) => {
        await place.take(5 * MI)
        throw new Error('failed')
      }),
      /failed/,
    )
})
