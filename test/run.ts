import { spawn } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { requireNode } from '#core/service/run.ts'
import { freePorts } from './harness/ports.ts'

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
    const ports = await freePorts()
    const local = (command: string) => run([join(ROOT, 'infra/local/main.ts'), command], { ...ports, RGRID_STATE_DIR: STATE_DIR })
    // What an earlier run left listens on other ports.
    if ((await local('down-services')) !== 0 || (await local('up-services')) !== 0) return 1
    try {
      for (const files of [integration, endToEnd]) {
        if (files.length > 0) failed = (await nodeTest(files, 1, servicesEnv())) !== 0 || failed
      }
    } finally {
      failed = (await local('down-services')) !== 0 || failed
    }
  }
  return failed ? 1 : 0
}

function nodeTest(files: string[], concurrency: number, env: Record<string, string>): Promise<number> {
  const parts = ['core', 'bus', 'store', 'gateway', 'scheduler', 'node-runner', 'cli']
  const coverage = ['--experimental-test-coverage', ...parts.map((part) => `--test-coverage-include=${part}/**`)]
  return run(['--test', '--test-timeout=180000', `--test-concurrency=${concurrency}`, ...coverage, '--test-reporter=spec', ...files], env)
}

/** What `up-services` wrote for a shell to source, under names that no part of the platform reads by itself. */
function servicesEnv(): Record<string, string> {
  const env: Record<string, string> = { RGRID_TEST_STATE_DIR: STATE_DIR }
  for (const match of readFileSync(join(STATE_DIR, 'env'), 'utf8').matchAll(/^export RGRID_(\w+)='([^']*)'$/gm)) env[`RGRID_TEST_${match[1]}`] = match[2] ?? ''
  return env
}

function run(args: string[], env: Record<string, string>): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, ...env } })
  child.on('error', reject)
  child.on('exit', (code, signal) => resolve(signal ? 1 : (code ?? 1)))
  return promise
}
