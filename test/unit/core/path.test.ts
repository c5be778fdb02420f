import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { conflictingPaths, pathFault } from '#core/job/path.ts'

for (const path of ['a', 'a/b.txt', 'été/ß', '...', '..a', 'a..', '.hidden', '.rgridx', '-x', 'a b', 'x'.repeat(255), '*.txt']) {
  test(`a path inside: ${path.slice(0, 20)}`, () => assert.equal(pathFault(path), undefined))
}

for (const [path, why] of [
  ['', /empty/],
  ['/a', /relative/],
  ['..', /leave/],
  ['a/../b', /leave/],
  ['a/..', /leave/],
  ['.', /normal form/],
  ['./a', /normal form/],
  ['a//b', /normal form/],
  ['a/', /normal form/],
  ['a\u0000', /control/],
  ['a\nb', /control/],
  ['\u007f', /control/],
  ['\udc00', /Unicode/],
  ['x'.repeat(256), /255/],
  [`${'x'.repeat(200)}/`.repeat(6), /1024/],
  ['.rgrid', /reserved/],
  ['.rgrid/log', /reserved/],
] as const) {
  test(`no path: ${JSON.stringify(path).slice(0, 30)}`, () => assert.match(pathFault(path) ?? '', why))
}

test('whatever is accepted stays below the work folder', () => {
  const piece = fc.constantFrom('a', 'b', '.', '..', '', '/', '.rgrid', '\u0000')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
      const path = pieces.join('/')
      if (pathFault(path) !== undefined) return
      assert.equal(new URL(`http://h/work/${path}`).pathname, `/work/${path}`)
    }),
  )
})

for (const [paths, conflict] of [
  [['a', 'b', 'c/d', 'c/e'], undefined],
  [
    ['a', 'a'],
    ['a', 'a'],
  ],
  [
    ['a/b', 'a'],
    ['a', 'a/b'],
  ],
  [
    ['a', 'a/b/c'],
    ['a', 'a/b/c'],
  ],
  [['a', 'ab/c'], undefined],
] as const) {
  test(`${paths.join(', ')}: ${conflict ? 'in each other’s way' : 'side by side'}`, () => assert.deepEqual(conflictingPaths(paths), conflict))
}
