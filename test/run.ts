import { globSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { requireNode } from '#core/service/run.ts'
import { prepareImages, startServices } from './harness/local-services.ts'
import { runWatched } from './harness/watched.ts'

/**
 * `node test/run.ts [--unit] [file…]`: starts the servers that integration tests need (beside any platform that
 * runs, with ports and state of its own), runs the tests and prints the coverage.
 */
const ROOT = join(import.meta.dirname, '..')
const STATE_DIR = join(ROOT, '.rgrid', 'test')

requireNode()
const { values, positionals } = parseArgs({ allowPositionals: true, options: { unit: { type: 'boolean', default: false } } })
process.exitCode = await main()

async function main(): Promise<number> {
  const wanted = (pattern: string) =>
    positionals.length > 0 ? positionals.filter((file) => file.includes(pattern.split('/')[1] ?? '')) : globSync(pattern, { cwd: ROOT }).sort()
  const unit = wanted('test/unit/**/*.test.ts')
  const integration = values.unit ? [] : wanted('test/integration/**/*.test.ts')
  // Behind the others: a platform that is started on the same Postgres sets the passwords of its roles.
  const endToEnd = values.unit ? [] : wanted('test/e2e/**/*.test.ts')
  let failed = false
  if (unit.length > 0) failed = (await nodeTest(unit, 2, {})) !== 0
  if (integration.length + endToEnd.length > 0) {
    // Not within the time of the first test that needs them.
    if (endToEnd.length > 0 && !(await prepareImages(STATE_DIR))) return 1
    const services = await startServices(STATE_DIR)
    if (!services) return 1
    try {
      for (const files of [integration, endToEnd]) {
        if (files.length > 0) failed = (await nodeTest(files, 1, services.env)) !== 0 || failed
      }
    } finally {
      failed = !(await services.stop()) || failed
    }
  }
  return failed ? 1 : 0
}

function nodeTest(files: string[], concurrency: number, env: Record<string, string>): Promise<number> {
  const parts = ['core', 'bus', 'store', 'gateway', 'scheduler', 'node-runner', 'cli']
  const coverage = ['--experimental-test-coverage', ...parts.map((part) => `--test-coverage-include=${part}/**`)]
  return runWatched(['--test', '--test-timeout=600000', `--test-concurrency=${concurrency}`, ...coverage, '--test-reporter=spec', ...files], env)
}
