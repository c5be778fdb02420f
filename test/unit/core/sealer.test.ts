import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createSealer, newSecretKey, SealError } from '#core/sealer.ts'

const old = newSecretKey('old')
const young = newSecretKey('young')
const sealer = createSealer(old)

test('what is sealed opens in its place, and never looks the same twice', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), fc.string({ maxLength: 50 }), (text, context) => {
      const sealed = sealer.seal(text, context)
      assert.equal(sealer.open(sealed, context), text.toWellFormed())
      assert.notEqual(sealer.seal(text, context), sealed)
      assert.match(sealed, /^v1\.old\.[\w-]{16}\.[\w-]+$/)
    }),
  )
})

test('a single changed character, another place or another key does not open', () => {
  const sealed = sealer.seal('a secret', 'secret/acc_1/proj_1/TOKEN')
  for (let i = 0; i < sealed.length; i++) {
    const other = sealed[i] === 'A' ? 'B' : 'A'
    const changed = sealed.slice(0, i) + other + sealed.slice(i + 1)
    // The last character of base64url may carry bits that mean nothing.
    if (Buffer.from(changed.split('.')[3] ?? '', 'base64url').equals(Buffer.from(sealed.split('.')[3] ?? '', 'base64url')) && i === sealed.length - 1) continue
    assert.throws(() => sealer.open(changed, 'secret/acc_1/proj_1/TOKEN'), SealError, changed)
  }
  assert.throws(() => sealer.open(sealed, 'secret/acc_1/proj_2/TOKEN'), SealError)
  assert.throws(() => createSealer(young).open(sealed, 'secret/acc_1/proj_1/TOKEN'), /key "old"/)
  assert.throws(() => createSealer(newSecretKey('old')).open(sealed, 'secret/acc_1/proj_1/TOKEN'), SealError)
  for (const garbage of ['', 'v1', 'v1.old..', 'v2.old.a.b', 'a secret']) assert.throws(() => sealer.open(garbage, 'x'), SealError)
})

test('a new first key seals anew, and the old one still opens', () => {
  const sealed = sealer.seal('a secret', 'x')
  const both = createSealer(`${young},${old}`)
  assert.equal(both.open(sealed, 'x'), 'a secret')
  const anew = both.reseal(sealed, 'x')
  assert.match(anew ?? '', /^v1\.young\./)
  assert.equal(createSealer(young).open(anew ?? '', 'x'), 'a secret')
  assert.equal(both.reseal(anew ?? '', 'x'), undefined)
})

test('no message tells the text or a key', () => {
  const sealed = sealer.seal('hunter2', 'x')
  for (const keys of [young, newSecretKey('old')]) {
    assert.throws(
      () => createSealer(keys).open(sealed, 'x'),
      (error: Error) => !error.message.includes('hunter2') && !error.message.includes(keys.slice(4)),
    )
  }
  assert.throws(
    () => createSealer('short:AAAA'),
    (error: Error) => !error.message.includes('AAAA'),
  )
})
