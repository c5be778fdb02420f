import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runCommand } from '../../../cli/commands/run.ts'
import { parseCount, parseSeconds, parseTime } from '../../../cli/duration.ts'
import { outputFolders } from '../../../cli/output-folder.ts'
import { commandHelp, parseCommand } from '../../../cli/parse.ts'
import { UsageError } from '../../../cli/usage-error.ts'

for (const [argv, options, args] of [
  [['x.py', 'a', '--cpu', '2'], { cpu: '2' }, ['x.py', 'a']],
  [['--cpu', '2', 'x.py', 'a'], { cpu: '2' }, ['x.py', 'a']],
  [['--cpu=2', 'x.py', '--', '--cpu', '3', '-x'], { cpu: '2' }, ['x.py', '--cpu', '3', '-x']],
  [['x.py', '--', '--'], {}, ['x.py', '--']],
  [['x.py', '007', '1e3', 'true', ''], {}, ['x.py', '007', '1e3', 'true', '']],
  [['x.py', '--', '-1', '--no-x', 'ünï', '007'], {}, ['x.py', '-1', '--no-x', 'ünï', '007']],
  [['--env', 'A=1', 'x.py', '--env', 'B=2=3'], { env: ['A=1', 'B=2=3'] }, ['x.py']],
  [['-d', 'x.py'], { detach: true }, ['x.py']],
  [['--name', '007', 'x.py'], { name: '007' }, ['x.py']],
] as const) {
  test(`rgrid run ${argv.join(' ')}`, () => {
    const parsed = parseCommand(runCommand, argv)
    assert.deepEqual({ ...parsed.options }, options)
    assert.deepEqual(parsed.args, args)
  })
}

test('an option that is not known is refused with the way to hand it on', () => {
  for (const argv of [
    ['x.py', '--colour', 'red'],
    ['x.py', '-q'],
    ['--colour=red', 'x.py'],
  ]) {
    assert.throws(
      () => parseCommand(runCommand, argv),
      (error) => error instanceof UsageError && /has no option .*put it after --: rgrid run SCRIPT -- -/.test(error.message),
    )
  }
  assert.throws(() => parseCommand(runCommand, ['x.py', '--cpu']), UsageError)
})

test('--help names every option', () => {
  const help = commandHelp(runCommand)
  for (const name of [
    'runtime',
    'cpu',
    'memory',
    'timeout',
    'env',
    'env-file',
    'requirements',
    'network',
    'retries',
    'label',
    'output-dir',
    'flat',
    'remote-only',
    'detach',
    'json',
    'dry-run',
    'local',
    'batch',
    'parallel',
    'cancel-on-interrupt',
  ])
    assert.ok(help.includes(`--${name}`), name)
})

for (const [paths, folders] of [
  [
    ['a/x.png', 'a/y.png'],
    ['x', 'y'],
  ],
  [
    ['a/x.png', 'a/x.jpg'],
    ['x.png', 'x.jpg'],
  ],
  [
    ['a/x.png', 'b/x.png'],
    ['a__x.png', 'b__x.png'],
  ],
  [
    ['a/x.png', 'a/x.jpg', 'a/y.png'],
    ['x.png', 'x.jpg', 'y.png'],
  ],
  [['noext'], ['noext']],
] as const) {
  test(`outputs of ${paths.join(' ')} go to ${folders.join(' ')}`, () => assert.deepEqual(outputFolders(paths), folders))
}

test('times and counts are read, or refused with the option named', () => {
  assert.deepEqual(
    ['90', '90s', '5m', '1h', '2d'].map((text) => parseSeconds('timeout', text)),
    [90, 90, 300, 3600, 172_800],
  )
  for (const wrong of ['', '1.5', '5w', '-1', 'm']) assert.throws(() => parseSeconds('timeout', wrong), /--timeout/)
  assert.equal(parseCount('retries', '3', 0, 100), 3)
  for (const wrong of ['', '101', '-1', '1.5', 'x']) assert.throws(() => parseCount('retries', wrong, 0, 100), /--retries/)
})

test('a time is so long ago, or RFC 3339, or refused with the option named', () => {
  assert.equal(parseTime('since', '2026-11-23T10:00:00+01:00'), '2026-11-23T09:00:00.000Z')
  const beforeMs = Date.now()
  const askedMs = Date.parse(parseTime('since', '1h')) + 3_600_000
  assert.ok(beforeMs <= askedMs && askedMs <= Date.now(), `${askedMs - beforeMs} ms`)
  for (const wrong of ['', 'yesterday', '10', '-1h', '2026-13-01T00:00:00Z']) assert.throws(() => parseTime('since', wrong), /--since/)
})
