import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codeMetrics, documentedMetrics } from '../../harness/metric-names.ts'

test('docs/METRICS.md lists the metrics that there are, and no others', () => {
  const code = codeMetrics()
  const documented = documentedMetrics()
  assert.ok(code.size > 40)
  assert.deepEqual(documented.map(({ name }) => name).sort(), [...code.keys()].sort())
  for (const { name, type } of documented) assert.equal(type, code.get(name), name)
})

// https://prometheus.io/docs/practices/naming/
test('names say what is counted, and in which unit', () => {
  for (const [name, type] of codeMetrics()) {
    assert.match(name, /^rgrid_[a-z][a-z_]*[a-z]$/)
    assert.equal(name.endsWith('_total'), type === 'counter', `${name}: counters end in _total, and nothing else does`)
    if (type === 'histogram') assert.match(name, /_seconds$/)
    assert.doesNotMatch(name, /_(ms|millis|milliseconds|kb|mb|percent)(_|$)/)
  }
})

test('no label could be of a job, an account or a user', () => {
  for (const { name, labels } of documentedMetrics())
    for (const label of labels) assert.match(label, /^(state|pool|reason|result|cause|outcome|kind|step|method|route|status|transport)$/, `${name}{${label}}`)
})
