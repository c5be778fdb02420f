import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createScreen } from '../../../cli/screen.ts'

function aTerminal(isTTY = true) {
  const written: string[] = []
  return { written, stdout: { write: (text: string | Uint8Array) => written.push(String(text)) > 0, isTTY, columns: 20, rows: 5 } }
}

const lines = (count: number) => Array.from({ length: count }, (_, i) => `line ${i + 1}`)

test('in a pipe everything is written below the last', () => {
  const { written, stdout } = aTerminal(false)
  const screen = createScreen(stdout)
  screen.show(lines(9))
  screen.show(['end'])
  assert.deepEqual(
    written,
    [...lines(9), 'end'].map((line) => `${line}\n`),
  )
})

test('on a terminal the last text is taken away, with lines that were wrapped and colours that take no room', () => {
  const { written, stdout } = aTerminal()
  const screen = createScreen(stdout)
  screen.show(['x'.repeat(21), '\u001b[31mred\u001b[39m'])
  screen.show(['new'])
  assert.equal(written.at(-2), '\u001b[3A\u001b[J')
})

test('what has no room is counted, and comes the last time', () => {
  const { written, stdout } = aTerminal()
  const screen = createScreen(stdout)
  screen.show(lines(4))
  assert.equal(written.join(''), 'line 1\nline 2\nline 3\nline 4\n')
  screen.show(lines(9))
  assert.deepEqual(written.slice(4), ['\u001b[4A\u001b[J', 'line 1\n', 'line 2\n', 'line 3\n', '… 6 more lines\n'])
  screen.show(lines(9), true)
  assert.deepEqual(written.slice(9), ['\u001b[4A\u001b[J', ...lines(9).map((line) => `${line}\n`)])
})
