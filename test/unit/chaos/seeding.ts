import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkFacts } from '../../chaos/check/check.ts'
import type { AttemptFact, EventFact, Expected, Facts, JobFact, Witness } from '../../chaos/check/facts.ts'
import { consistentFacts } from './consistent-facts.ts'

/** Something that went wrong: what, done to consistent facts; which checks find it, and what they say. */
export type Seed = readonly [what: string, spoil: (facts: Facts) => void, found: string | readonly string[], says: RegExp]

/** A test for each: those checks find it and no others do. The first of them says it in words that match. */
export function testSeeds(seeds: readonly Seed[]): void {
  for (const [what, spoil, found, says] of seeds) {
    test(what, () => {
      const facts = consistentFacts()
      spoil(facts)
      const violated = checkFacts(facts).filter((result) => result.violations.length > 0)
      const wanted = [found].flat()
      assert.deepEqual(
        violated.map((result) => result.name),
        wanted,
        violated.flatMap((result) => result.violations).join('\n'),
      )
      assert.match(violated[0]?.violations.join('\n') ?? '', says)
    })
  }
}

/** The row of this job. */
export function jobOf(facts: Facts, id: string): JobFact {
  return only(
    facts.jobs.filter((job) => job.id === id),
    id,
  )
}

/** The row of this attempt. */
export function attemptOf(facts: Facts, id: string): AttemptFact {
  return only(
    facts.attempts.filter((attempt) => attempt.id === id),
    id,
  )
}

/** What this job was to do. */
export function expectedOf(facts: Facts, jobId: string): Expected {
  return only([facts.expected.get(jobId)], jobId)
}

/** What the container of this attempt wrote down. */
export function witnessOf(facts: Facts, name: string): Witness {
  return only([facts.witnesses.get(name)], name)
}

/** The first event of this type of a job or batch. */
export function eventOf(facts: Facts, objectId: string, type: string): EventFact {
  return only(facts.events.filter((event) => event.objectId === objectId && event.type === type).slice(0, 1), `${type} of ${objectId}`)
}

/** Changes the events, and lets the stream say the same. */
export function retell(facts: Facts, events: readonly EventFact[] = facts.events): void {
  facts.events = [...events].sort((a, b) => a.id - b.id)
  facts.delivered = facts.events.map((event) => ({ ...event }))
}

/** Adds an event behind another one; odd ids are taken, the even ones between them are free. */
export function tellAfter(facts: Facts, event: EventFact, added: Partial<EventFact>): void {
  retell(facts, [...facts.events, { ...event, ...added, id: event.id + 1 }])
}

function only<T>(things: readonly (T | undefined)[], what: string): T {
  const [thing] = things
  if (thing === undefined || things.length !== 1) throw new Error(`the facts have ${things.length} of ${what}`)
  return thing
}
