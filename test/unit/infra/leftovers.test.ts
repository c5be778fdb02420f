import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findMounts } from '../../../infra/local/leftovers.ts'

const MOUNTINFO = String.raw`22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
90 22 7:0 / /srv/my\040state/node/attempts/att_1/work rw,nosuid - ext4 /dev/loop0 rw
91 90 0:50 / /srv/my\040state/node/attempts/att_1/work/deeper rw - tmpfs tmpfs rw
92 22 7:1 / /srv/my\040state-2/node/attempts/att_2/work rw - ext4 /dev/loop1 rw
`

test('mounts below the folder are found, the deepest first, also where its name has a space', () => {
  assert.deepEqual(findMounts(MOUNTINFO, '/srv/my state/node/'), ['/srv/my state/node/attempts/att_1/work/deeper', '/srv/my state/node/attempts/att_1/work'])
})

test('where nothing is mounted, nothing is found', () => {
  assert.deepEqual(findMounts(MOUNTINFO, '/srv/other/node/'), [])
  assert.deepEqual(findMounts('', '/srv/my state/node/'), [])
})
