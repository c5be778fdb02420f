import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { ConfigError } from '#core/service/config.ts'
import { bulkOptions } from '../../../gateway/bulk/options.ts'

const ENV = { RGRID_BODY_IDLE_SECONDS: 30 }

test('batches wait in the folder for temporary files, and take half of what is free there, at most 8 GiB', () => {
  const { idleMs, spoolDir, spoolBytes } = bulkOptions(ENV)
  assert.deepEqual([idleMs, spoolDir], [30_000, tmpdir()])
  assert.ok(spoolBytes >= 64 * 2 ** 20 && spoolBytes <= 8 * 2 ** 30, String(spoolBytes))
  assert.equal(bulkOptions({ ...ENV, RGRID_SPOOL_BYTES: 2 ** 25 }).spoolBytes, 2 ** 25)
})

test('a folder that is not there is refused at the start, by the name of its variable', () => {
  for (const more of [{}, { RGRID_SPOOL_BYTES: 2 ** 25 }])
    assert.throws(
      () => bulkOptions({ ...ENV, ...more, RGRID_SPOOL_DIR: '/nowhere/at/all' }),
      (error) => error instanceof ConfigError && /RGRID_SPOOL_DIR: \/nowhere/.test(error.message),
    )
})
