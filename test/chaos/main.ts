import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runMain } from '#core/service/run.ts'
import { checkFacts, describeResults } from './check/check.ts'
import { createClient } from './client.ts'
import { collectFacts } from './collect.ts'
import { disturb, heal } from './disturb.ts'
import { planJobs } from './jobs.ts'
import { type Disturbance, planDisturbances } from './schedule.ts'
import { settle } from './settle.ts'
import { type Stack, startStack } from './stack.ts'
import { listenForWebhooks } from './webhooks.ts'
import { submitAll } from './workload.ts'

const USAGE = `usage: npm run chaos -- [--seed N] [--minutes M] [--jobs N] [--batch N] [--keep]
  Runs the real platform (2 gateways, 2 schedulers, 3 runners, Postgres, NATS, S3), gives it work, and meanwhile kills,
  pauses, cuts off and fills what it stands on; then checks that nothing was lost or run twice by mistake.
  --seed     what is done when; the same seed does the same (default: by the clock)
  --minutes  for how long it is disturbed (default 5)
  --jobs     how many jobs besides the batch (default 80 a minute), --batch its size (default 40 a minute)
  --keep     leaves the platform's folder with its logs`
const LEASE_SECONDS = 6
const PARALLEL = 5
const SETTLE_MS = 600_000

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      minutes: { type: 'string', default: '5' },
      jobs: { type: 'string' },
      batch: { type: 'string' },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const [seed, minutes] = [Number(values.seed ?? Date.now() % 1_000_000), Number(values.minutes)]
  const [jobCount, batchSize] = [Number(values.jobs ?? Math.round(80 * minutes)), Number(values.batch ?? Math.round(40 * minutes))]
  const isUsable = [seed, jobCount, batchSize].every(Number.isInteger) && batchSize > 0 && minutes > 0 && minutes <= 60
  if (values.help || !isUsable) {
    process.exitCode = values.help ? 0 : 2
    return void process.stdout.write(`${USAGE}\n`)
  }

  const durationMs = minutes * 60_000
  const schedule = planDisturbances({ seed, durationMs, leaseMs: LEASE_SECONDS * 1000, gateways: 2, schedulers: 2, runners: 3 })
  printSchedule(seed, schedule)
  const dir = mkdtempSync(join(tmpdir(), 'rgrid-chaos-'))
  const stack = await startStack(dir, LEASE_SECONDS)
  let violated = 1
  try {
    violated = await runOn(stack, { seed, jobCount, batchSize, durationMs, schedule })
  } finally {
    if (values.keep) process.stdout.write(`logs are in ${join(dir, 'logs')}\n`)
    await stack.stop(values.keep)
  }
  process.exitCode = violated > 0 ? 1 : 0
  if (violated > 0) process.stdout.write(`\nThe same again: npm run chaos -- --seed ${seed} --minutes ${minutes}\n`)
}

interface Run {
  seed: number
  jobCount: number
  batchSize: number
  durationMs: number
  schedule: readonly Disturbance[]
}

async function runOn(stack: Stack, run: Run): Promise<number> {
  const startedMs = performance.now()
  const say = (text: string) => process.stdout.write(`[${((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)} s] ${text}\n`)
  const client = createClient(stack.apiUrls, stack.servers.apiKey)
  await client.awaitNodes(stack.runners.length)
  say(`${stack.runners.length} nodes are ready`)
  await listenForWebhooks(stack, client)
  const work = submitAll(client, planJobs(run.seed, run.jobCount, run.durationMs), { size: run.batchSize, parallel: PARALLEL })
  // Not looked at before the disturbances are over; a refusal meanwhile is no crash.
  work.catch(() => undefined)
  await disturb(stack, client, run.schedule, say)
  await heal(stack)
  say('everything is whole again')
  const ledger = await work
  say(`${ledger.jobs.size} jobs and a batch of ${ledger.batchJobIds.length} were accepted`)
  const tookMs = await settle(stack, SETTLE_MS, say)
  say(`settled after ${(tookMs / 1000).toFixed(1)} s`)
  const results = checkFacts(await collectFacts(stack, client, ledger))
  process.stdout.write(`\n${describeResults(results)}\n`)
  return results.reduce((sum, result) => sum + result.violations.length, 0)
}

function printSchedule(seed: number, schedule: readonly Disturbance[]): void {
  process.stdout.write(`seed ${seed}: ${schedule.length} disturbances\n`)
  for (const { atMs, kind, target, forMs } of schedule)
    process.stdout.write(`  ${(atMs / 1000).toFixed(1).padStart(6)} s  ${kind} ${target} for ${(forMs / 1000).toFixed(1)} s\n`)
}

await runMain(main)
