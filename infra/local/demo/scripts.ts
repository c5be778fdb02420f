import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Settings } from '../settings.ts'
import type { ByHand } from './by-hand.ts'
import { type Check, check, same } from './checks.ts'
import type { Cli } from './cli.ts'

const FAILING_SCRIPT = 'echo "this went to stdout"\necho "this went to stderr" >&2\nexit 7\n'

/** Single scripts: arguments, environment, outputs, exit codes and the two streams, as if they ran here. */
export async function checkScripts(settings: Settings, folder: string, rgrid: Cli, byHand: ByHand, checks: Check[]): Promise<void> {
  const there = join(folder, 'rgrid')
  const here = join(folder, 'by-hand')
  for (const place of [there, here]) {
    mkdirSync(place, { recursive: true })
    for (const file of ['hello/hello.py', 'node/primes.mjs']) cpSync(join(settings.root, 'docs/examples', file), join(place, file.split('/')[1] ?? file))
    writeFileSync(join(place, 'names.txt'), 'Ada\nGrace\nZoë\n')
    writeFileSync(join(place, 'fail.sh'), FAILING_SCRIPT)
  }
  const read = (place: string, file: string) => readFileSync(join(place, file), 'utf8')

  const hello = await rgrid(there, 'run', 'hello.py', 'names.txt', '--env', 'GREETING=Hello')
  const helloOutput = await byHand('python:3.11', here, ['python', 'hello.py', 'names.txt'], { GREETING: 'Hello' })
  check(checks, 'a Python script with a file argument and a variable ends with 0', () => same(hello.exitCode, 0), `${hello.seconds.toFixed(1)} s`)
  check(checks, 'its stdout is on stdout, and only that', () => same(hello.stdout, helloOutput))
  check(checks, 'its stderr is on stderr', () => hello.stderr.split('\n').includes('done') || same(hello.stderr, 'done\n'))
  for (const file of ['greetings.txt', 'summary.txt']) check(checks, `${file} came back as written by hand`, () => same(read(there, file), read(here, file)))

  const failed = await rgrid(there, 'run', 'fail.sh')
  check(checks, 'a script that exits 7 makes rgrid exit 7', () => same(failed.exitCode, 7), `${failed.seconds.toFixed(1)} s`)
  check(checks, 'its stdout and stderr stay apart', () => {
    if (failed.stdout !== 'this went to stdout\n') return same(failed.stdout, 'this went to stdout\n')
    return failed.stderr.includes('this went to stderr\n') || same(failed.stderr, 'this went to stderr\n')
  })

  const primes = await rgrid(there, 'run', 'primes.mjs', '1000')
  const primesOutput = await byHand('node:24', here, ['node', 'primes.mjs', '1000'])
  check(checks, 'a Node script ends with 0 and prints what it prints by hand', () => {
    const code = same(primes.exitCode, 0)
    return code === true ? same(primes.stdout, primesOutput) : code
  })
  check(checks, 'primes.json came back as written by hand', () => same(read(there, 'primes.json'), read(here, 'primes.json')))
}
