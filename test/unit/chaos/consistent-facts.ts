import { WEBHOOK_EVENTS } from '#core/webhook-api.ts'
import type { Expected, Facts } from '../../chaos/check/facts.ts'
import { createWorld, type World } from './world.ts'

const OK = { cause: 'exit', exitCode: 0, next: 'succeeded' } as const
const failsWith = (cause: string, exitCode: number | null): Partial<Expected> => ({
  end: { state: 'failed', cause, exitCode },
  exitCodes: exitCode === null ? [] : [exitCode],
})

/** What a run leaves in which everything went as it should, with at least one job of each kind of life. */
export function consistentFacts(): Facts {
  const world = createWorld()
  runPlainJobs(world)
  runRetries(world)
  runInfrastructureTrouble(world)
  runCancels(world)
  runBatch(world)
  tellWebhooks(world)
  return world.facts
}

/** Everything that webhooks can tell came, the first of it twice. */
function tellWebhooks({ facts }: World): void {
  const wanted = facts.events.filter(({ type }) => (WEBHOOK_EVENTS as readonly string[]).includes(type))
  const events = wanted.map(({ id, type, objectId }) => ({ id, type, objectId }))
  facts.webhooks = { events, received: [...events.slice(0, 1), ...events].map((event) => ({ ...event })), faults: [] }
}

function run(world: World, id: string, end: Parameters<World['end']>[1], nodeId?: string): void {
  world.assign(id, nodeId)
  world.start(id)
  world.end(id, end)
}

function runPlainJobs(world: World): void {
  world.submit('job_ok')
  world.submit('job_outputs', { expected: { outputs: ['out/1.txt', 'id.txt'] } })
  world.assign('job_ok')
  // Both at once fill the node.
  world.assign('job_outputs')
  for (const id of ['job_ok', 'job_outputs']) {
    world.start(id)
    world.end(id, OK)
  }
  world.submit('job_failing', { expected: failsWith('exit', 3) })
  run(world, 'job_failing', { cause: 'exit', exitCode: 3, next: 'failed' })
  world.submit('job_timeout', { expected: failsWith('timeout', null) })
  run(world, 'job_timeout', { cause: 'timeout', next: 'failed' })
  world.submit('job_free', { expected: { end: null, lines: null, exitCodes: [0, 9] } })
  run(world, 'job_free', { cause: 'exit', exitCode: 9, next: 'failed' })
  world.submit('job_kept', { expected: failsWith('output', 0) })
  run(world, 'job_kept', { cause: 'output', exitCode: 0, next: 'failed' })
  world.submit('job_overdue', { expected: failsWith('queue_timeout', null) })
  world.overdue('job_overdue')
}

function runRetries(world: World): void {
  world.submit('job_retry', { retries: 2, expected: { exitCodes: [0, 5], minAttempts: 3 } })
  run(world, 'job_retry', { cause: 'exit', exitCode: 5, next: 'held' })
  world.queue('job_retry')
  run(world, 'job_retry', { cause: 'exit', exitCode: 5, next: 'held' })
  world.queue('job_retry')
  run(world, 'job_retry', OK)
  world.submit('job_oom', { retries: 1 })
  run(world, 'job_oom', { cause: 'oom', exitCode: 137, next: 'queued', witness: null })
  run(world, 'job_oom', OK)
}

function runInfrastructureTrouble(world: World): void {
  world.submit('job_lost')
  // Its node was cut off: the container went on to its end, and nobody heard of it.
  run(world, 'job_lost', { cause: 'lost', next: 'queued', witness: 0 })
  run(world, 'job_lost', OK, 'node_b')
  world.submit('job_interrupted')
  run(world, 'job_interrupted', { cause: 'interrupted', next: 'queued' })
  run(world, 'job_interrupted', OK)
  world.submit('job_image')
  world.assign('job_image')
  world.end('job_image', { cause: 'image', next: 'held' })
  world.queue('job_image')
  run(world, 'job_image', OK)
  world.submit('job_unlucky', { expected: failsWith('lost', null) })
  for (let i = 0; i < 5; i++) run(world, 'job_unlucky', { cause: 'lost', next: 'queued' })
  run(world, 'job_unlucky', { cause: 'lost', next: 'failed' })
}

function runCancels(world: World): void {
  world.submit('job_cancel_queued')
  world.cancel('job_cancel_queued')
  world.submit('job_cancel_running')
  world.assign('job_cancel_running')
  world.start('job_cancel_running')
  world.cancel('job_cancel_running')
  world.end('job_cancel_running', { cause: 'cancelled', next: 'cancelled' })
  // It was at its end when the cancel came.
  world.submit('job_cancel_late')
  world.assign('job_cancel_late')
  world.start('job_cancel_late')
  world.cancel('job_cancel_late')
  world.end('job_cancel_late', { ...OK, next: 'cancelled' })
  world.submit('job_cancel_pause', { retries: 1, expected: { exitCodes: [5] } })
  run(world, 'job_cancel_pause', { cause: 'exit', exitCode: 5, next: 'held' })
  world.cancel('job_cancel_pause')
}

function runBatch(world: World): void {
  world.facts.batches.push({ id: 'batch_1', parallel: 2 }, { id: 'batch_free', parallel: null })
  for (const [i, id] of ['job_b0', 'job_b1', 'job_b2', 'job_b3'].entries()) world.submit(id, { batchId: 'batch_1', held: i >= 2 })
  world.batchEvent('batch_1', 'batch.submitted')
  world.assign('job_b0')
  world.assign('job_b1', 'node_b')
  world.start('job_b0')
  world.end('job_b0', OK)
  world.queue('job_b2')
  world.assign('job_b2')
  for (const id of ['job_b1', 'job_b2']) {
    world.start(id)
    world.end(id, OK)
  }
  world.queue('job_b3')
  run(world, 'job_b3', OK)
  world.batchEvent('batch_1', 'batch.completed')
  world.submit('job_f0', { batchId: 'batch_free' })
  world.batchEvent('batch_free', 'batch.submitted')
  run(world, 'job_f0', OK)
  world.batchEvent('batch_free', 'batch.completed')
}
