import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkFacts, describeResults } from '../../chaos/check/check.ts'
import type { Facts } from '../../chaos/check/facts.ts'
import { consistentFacts } from './consistent-facts.ts'

const NOTHING: Facts = {
  jobs: [],
  attempts: [],
  batches: [],
  nodes: [],
  expected: new Map(),
  witnesses: new Map(),
  logs: new Map(),
  events: [],
  delivered: [],
  outboxRows: 0,
  webhooks: { events: [], received: [], faults: [] },
  artifacts: [],
  archivedLogs: [],
  objectKeys: [],
  fileKeys: [],
  pendingKeys: [],
  leftovers: { containers: [], networks: [], folders: [], mounts: [] },
}

test('every check looks at a run without a fault, and finds none', () => {
  for (const { name, checked, violations } of checkFacts(consistentFacts())) {
    assert.deepEqual(violations, [], name)
    assert.ok(checked > 0, `${name} looked at nothing`)
  }
})

test('a check that has nothing to look at is violated', () => {
  for (const { name, checked, violations } of checkFacts(NOTHING)) assert.deepEqual([checked, violations], [0, ['nothing was checked']], name)
})

test('no check changes what it looks at', () => {
  const facts = consistentFacts()
  checkFacts(facts)
  assert.deepEqual(facts, consistentFacts())
})

test('the report has a line for each check, and the first twenty violations of it', () => {
  const violations = Array.from({ length: 22 }, (_, i) => `job_${i} is queued`)
  const text = describeResults([
    { name: 'short', checked: 7, violations: [] },
    { name: 'a longer one', checked: 1234, violations },
  ])
  assert.deepEqual(text.split('\n'), [
    'ok   short              7 checked     0 violated',
    'FAIL a longer one    1234 checked    22 violated',
    '',
    'a longer one:',
    ...violations.slice(0, 20).map((violation) => `  ${violation}`),
    '  … and 2 more',
  ])
})
