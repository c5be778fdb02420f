import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { createLog } from '#core/service/log.ts'

test('fields with the name of a secret are cut out, two levels deep', () => {
  const written: string[] = []
  const log = createLog(
    'test',
    'info',
    new Writable({
      write(line, _, done) {
        written.push(String(line))
        done()
      },
    }),
  )
  log.info({ token: 's3cret', jobId: 'job_1', node: { jwt: 's3cret', deep: { url: 's3cret' } } }, 'a line')
  log.debug('below the level')
  assert.equal(written.length, 1)
  assert.ok(!written[0]?.includes('s3cret'))
  const line = JSON.parse(written[0] ?? '')
  assert.deepEqual([line.name, line.msg, line.jobId, line.token], ['test', 'a line', 'job_1', '[secret]'])
})
