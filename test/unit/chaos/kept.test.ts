import { expectedOf, type Seed, testSeeds } from './seeding.ts'
import { LINES } from './world.ts'

const LOGS = 'logs are whole and in order'
const ARTIFACTS = 'artifacts are there with their checksums'
const OBJECTS = 'no object without a row'
const LEFTOVERS = 'nothing is left on the nodes'

const numbered = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `line ${from + i}`)

const logs: readonly Seed[] = [
  [
    'a line that is lost',
    (facts) => facts.logs.set('att_ok_1', [...numbered(1, 4), ...numbered(6, LINES)]),
    LOGS,
    /att_ok_1 \(job_ok\.1, exit\): line 5 is "line 6"/,
  ],
  ['the first line is lost', (facts) => facts.logs.set('att_ok_1', numbered(2, LINES)), LOGS, /att_ok_1 .*: line 1 is "line 2"/],
  ['the last line is lost', (facts) => facts.logs.set('att_ok_1', numbered(1, LINES - 1)), LOGS, /att_ok_1 .* has 11 lines, 12 were printed/],
  ['a line that is repeated', (facts) => facts.logs.set('att_ok_1', [...numbered(1, 4), ...numbered(4, LINES)]), LOGS, /att_ok_1 .*: line 5 is "line 4"/],
  [
    'the whole log is repeated',
    (facts) => facts.logs.set('att_ok_1', [...numbered(1, LINES), ...numbered(1, LINES)]),
    LOGS,
    /att_ok_1 .*: line 13 is "line 1"/,
  ],
  ['two lines in the wrong order', (facts) => facts.logs.set('att_ok_1', ['line 2', 'line 1', ...numbered(3, LINES)]), LOGS, /att_ok_1 .*: line 1 is "line 2"/],
  ['a broken line', (facts) => facts.logs.set('att_ok_1', ['line 1', 'li', ...numbered(3, LINES)]), LOGS, /att_ok_1 .*: line 2 is "li"/],
  ['a log that is empty', (facts) => facts.logs.set('att_ok_1', []), LOGS, /att_ok_1 .* has 0 lines, 12 were printed/],
  ['a log that cannot be read', (facts) => facts.logs.delete('att_ok_1'), LOGS, /att_ok_1 .* cannot be read/],
  ['a failed attempt before the last one lost a line', (facts) => facts.logs.set('att_retry_1', numbered(1, 3)), LOGS, /att_retry_1 .* has 3 lines/],
  ['a line more than was printed', (facts) => (expectedOf(facts, 'job_ok').lines = LINES - 1), LOGS, /att_ok_1 .* has 12 lines, 11 were printed/],
  [
    'a gap in the log of a lost attempt',
    (facts) => facts.logs.set('att_lost_1', ['line 1', 'line 3', 'line 4']),
    LOGS,
    /att_lost_1 \(job_lost\.1, lost\): line 2 is "line 3"/,
  ],
  [
    'a repeat in the log of an interrupted attempt',
    (facts) => facts.logs.set('att_interrupted_1', ['line 1', 'line 2', 'line 2', 'line 3']),
    LOGS,
    /att_interrupted_1 .*: line 3 is "line 2"/,
  ],
  [
    'a repeat at the end of the log of a cancelled attempt',
    (facts) => facts.logs.set('att_cancel_running_1', ['line 1', 'line 2', 'line 2']),
    LOGS,
    /att_cancel_running_1 .*: its last line is "line 2"/,
  ],
  [
    'a stopped attempt that says more than it could',
    (facts) => facts.logs.set('att_cancel_running_1', numbered(1, LINES + 1)),
    LOGS,
    /att_cancel_running_1 .* has 13 lines, at most 12/,
  ],
]

const objects: readonly Seed[] = [
  [
    'an artifact without its object',
    (facts) => Object.assign(facts.artifacts[0] ?? {}, { object: null }),
    ARTIFACTS,
    /artifact out\/1\.txt of job_outputs \(.*\) has no object/,
  ],
  [
    'an artifact of another size',
    (facts) => Object.assign(facts.artifacts[0]?.object ?? {}, { sizeBytes: 7 }),
    ARTIFACTS,
    /artifact out\/1\.txt of job_outputs .* is 7 bytes long, its row says 1009/,
  ],
  [
    'an artifact with other bytes',
    (facts) => Object.assign(facts.artifacts[1]?.object ?? {}, { sha256: 'cd'.repeat(32) }),
    ARTIFACTS,
    /artifact id\.txt of job_outputs .* has other bytes .*cdcd.*abab/,
  ],
  [
    'an output that no row tells of',
    (facts) => {
      const [lost] = facts.artifacts.splice(0, 1)
      facts.objectKeys = facts.objectKeys.filter((key) => key !== lost?.key)
    },
    ARTIFACTS,
    /job_outputs succeeded, and its output out\/1\.txt is no artifact/,
  ],
  ['an object that nobody knows', (facts) => facts.objectKeys.push('artifacts/stray'), OBJECTS, /the object artifacts\/stray has no row/],
  ['an uploaded file without a row', (facts) => (facts.fileKeys = []), OBJECTS, /the object files\/1 has no row/],
  ['a promised object without a row', (facts) => (facts.pendingKeys = []), OBJECTS, /the object pending\/1 has no row/],
  ['the log of an attempt that does not know of it', (facts) => facts.archivedLogs.splice(0, 1), OBJECTS, /the object logs\/att_ok_1 has no row/],
  [
    'an archived log that is not there',
    (facts) => (facts.objectKeys = facts.objectKeys.filter((key) => key !== 'logs/att_ok_1')),
    OBJECTS,
    /the log of attempt att_ok_1 is said to be archived, and there is no object/,
  ],
  ['a container that is left', (facts) => facts.leftovers.containers.push('rgrid-att_ok_1'), LEFTOVERS, /the container rgrid-att_ok_1 is left/],
  ['a network that is left', (facts) => facts.leftovers.networks.push('rgrid-net'), LEFTOVERS, /the network rgrid-net is left/],
  ['a work folder that is left', (facts) => facts.leftovers.folders.push('/r/attempts/att_ok_1'), LEFTOVERS, /the folder \/r\/attempts\/att_ok_1 is left/],
  ['a mount that is left', (facts) => facts.leftovers.mounts.push('/r/attempts/att_ok_1/work'), LEFTOVERS, /\/r\/attempts\/att_ok_1\/work is still mounted/],
]

testSeeds([...logs, ...objects])
