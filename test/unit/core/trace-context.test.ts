import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatTraceContext, parseTraceContext, readTraceContext, traceIdOf } from '#core/service/trace-context.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = `00-${TRACE}-b7ad6b7169203331-01`

// Cases of https://www.w3.org/TR/trace-context/ and its test suite (https://github.com/w3c/trace-context/tree/main/test).
for (const [what, header] of [
  ['nothing', undefined],
  ['several, as HTTP joins them', `${PARENT}, ${PARENT}`],
  ['no version', PARENT.slice(3)],
  ['version ff', `ff${PARENT.slice(2)}`],
  ['version 00 with more behind it', `${PARENT}-what`],
  ['a later version without its dash', `cc${PARENT.slice(2)}.what`],
  ['capital letters', PARENT.toUpperCase()],
  ['a trace of zeros', PARENT.replace(TRACE, '0'.repeat(32))],
  ['a parent of zeros', PARENT.replace('b7ad6b7169203331', '0'.repeat(16))],
  ['a trace that is too short', PARENT.replace(TRACE, TRACE.slice(1))],
  ['flags that are too long', `${PARENT}1`],
  ['a character that is none', PARENT.replace('b7', 'x7')],
  ['a line of another kind', `${PARENT}\nx-evil: 1`],
  ['very much', `cc${PARENT.slice(2)}-${'x'.repeat(1000)}`],
] as const)
  test(`a traceparent that is ${what} begins no trace, and its tracestate means nothing`, () => {
    assert.equal(readTraceContext(header, 'a=1'), undefined)
  })

test('a traceparent is taken, and of a later version what this one knows', () => {
  assert.deepEqual(readTraceContext(PARENT, undefined), { traceparent: PARENT, tracestate: null })
  assert.deepEqual(readTraceContext(` ${PARENT} `, ''), { traceparent: PARENT, tracestate: null })
  assert.equal(readTraceContext(`cc${PARENT.slice(2)}-what-the-future-will-be`, undefined)?.traceparent, PARENT)
  assert.equal(traceIdOf(readTraceContext(PARENT, undefined)), TRACE)
  assert.equal(traceIdOf(undefined), undefined)
})

for (const [what, header, read] of [
  ['one', 'foo=1', 'foo=1'],
  ['several, with spaces and empty ones', 'foo=1 , ,\tbar=2 ', 'foo=1,bar=2'],
  ['several headers', ['foo=1', 'bar=2'], 'foo=1,bar=2'],
  ['that of a tenant', '0t-en_a*n/t@v=x', '0t-en_a*n/t@v=x'],
  ['one twice', 'foo=1,foo=2', null],
  ['one without a value', 'foo=', null],
  ['one without a key', '=1', null],
  ['a key in capitals', 'Foo=1', null],
  ['two equals signs', 'foo=1=2', null],
  ['a control character', 'foo=\u0001', null],
  ['33 of them', Array.from({ length: 33 }, (_, i) => `k${i}=1`).join(','), null],
  ['one too much', `a=${'1'.repeat(250)},b=${'2'.repeat(250)},c=${'3'.repeat(20)}`, `a=${'1'.repeat(250)},b=${'2'.repeat(250)}`],
] as const)
  test(`a tracestate of ${what}`, () => {
    assert.equal(readTraceContext(PARENT, header)?.tracestate, read)
  })

test('what is stored is what was read, and fits its column', () => {
  const context = readTraceContext(PARENT, `a=${'x y'.repeat(80)},b=${'2'.repeat(250)}`)
  assert.ok(context?.tracestate)
  const stored = formatTraceContext(context)
  assert.ok(stored.length <= 600)
  assert.deepEqual(parseTraceContext(stored), context)
  assert.deepEqual(parseTraceContext(PARENT), { traceparent: PARENT, tracestate: null })
  assert.equal(parseTraceContext(null), undefined)
  assert.equal(parseTraceContext('anything'), undefined)
})
