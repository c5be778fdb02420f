import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createTerminalFilter } from '../../../cli/terminal-text.ts'

const filtered = (text: string | Buffer) => {
  const filter = createTerminalFilter()
  return filter.write(Buffer.from(text as string)) + filter.end()
}

for (const [what, text] of [
  ['plain text', 'hello, wörld 😀\n'],
  ['a progress bar', '\r 50% |█████     | 5/10\u001b[K'],
  ['colours and styles', '\u001b[1;31mred\u001b[0m \u001b[38;2;10;20;30mtrue\u001b[38:5:9mcolour\u001b[m'],
  ['nested progress bars', 'one\n\u001b[A\u001b[2Kagain\u001b[10G\u001b[3D\u001b[2C\u001b[1B'],
  ['tabs and backspaces', 'a\tb\bc'],
] as const)
  test(`${what} passes as it is`, () => assert.equal(filtered(text), text))

for (const [what, text, safe] of [
  ['the title', '\u001b]0;owned\u0007', '\\x1b]0;owned\\x07'],
  ['the clipboard', '\u001b]52;c;cm0gLXJm\u001b\\', '\\x1b]52;c;cm0gLXJm\\x1b\\'],
  ['a report that is typed into the shell', '\u001b[6n\u001b[c', '\\x1b[6n\\x1b[c'],
  ['a hidden cursor and the other screen', '\u001b[?25l\u001b[?1049h', '\\x1b[?25l\\x1b[?1049h'],
  ['a cleared screen', '\u001b[2J\u001b[H', '\\x1b[2J\\x1b[H'],
  ['a reset', '\u001bc', '\\x1bc'],
  ['a device control string', '\u001bP+q544e\u001b\\', '\\x1bP+q544e\\x1b\\'],
  ['another character set', '\u000e\u001b(0', '\\x0e\\x1b(0'],
  ['a bell and NUL', '\u0007\u0000', '\\x07\\x00'],
  ['a C1 control', '\u009b31m', '\\x9b31m'],
  ['an override of the direction', 'a\u202eb', 'a\\u202eb'],
  ['a sequence within a sequence', '\u001b[3\u001b[31m', '\\x1b[3\u001b[31m\u001b[0m'],
  ['a private style', '\u001b[>4;2m', '\\x1b[>4;2m'],
  ['a sequence that does not end', `\u001b[${'1;'.repeat(100)}m`, `\\x1b[${'1;'.repeat(100)}m`],
] as const)
  test(`${what} is shown, not obeyed`, () => assert.equal(filtered(text), safe))

test('bytes that are no text are replaced', () => {
  assert.equal(filtered(Buffer.from([0x61, 0xff, 0xfe, 0x62])), 'a\ufffd\ufffdb')
})

test('a sequence that is cut off at the end is shown, and colours go back to the terminal’s own', () => {
  assert.equal(filtered('a\u001b[3'), 'a\\x1b[3')
  assert.equal(filtered('\u001b[31mred'), '\u001b[31mred\u001b[0m')
  assert.equal(filtered('\u001b[31mred\u001b[0m'), '\u001b[31mred\u001b[0m')
})

test('what is shown does not depend on how it came', () => {
  const letter = fc.constantFrom('\u001b', '[', ']', '3', '1', ';', 'm', 'J', '\u0007', 'é', '😀', '\n', '?', '\u009b')
  fc.assert(
    fc.property(fc.array(letter, { maxLength: 30 }), fc.array(fc.nat(60), { maxLength: 5 }), (letters, cuts) => {
      const data = Buffer.from(letters.join(''))
      const filter = createTerminalFilter()
      let result = ''
      let start = 0
      for (const cut of [...cuts].sort((a, b) => a - b)) {
        result += filter.write(data.subarray(start, Math.max(start, cut)))
        start = Math.max(start, Math.min(cut, data.length))
      }
      result += filter.write(data.subarray(start)) + filter.end()
      assert.equal(result, filtered(data))
      // biome-ignore lint/suspicious/noControlCharactersInRegex: nothing but colours and harmless moves is left
      assert.doesNotMatch(result.replaceAll(/\u001b\[[0-9;:]*[mKABCDG]/g, ''), /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/)
    }),
  )
})
