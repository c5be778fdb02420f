import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runWatched } from '../../harness/watched.ts'

test('what says nothing for too long is ended, and has failed', async () => {
  assert.equal(await runWatched(['-e', 'setInterval(() => {}, 1000)'], {}, 200), 1)
})

test('what ends by itself has its own exit code', async () => {
  assert.equal(await runWatched(['-e', 'process.exitCode = Number(process.env.CODE)'], { CODE: '7' }), 7)
})
