import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { relative } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import pg from 'pg'
import type { Bus } from '#bus/bus.ts'
import { EVENT_STREAM, LOG_STREAM } from '#bus/streams.ts'
import type { NodeView } from '#core/operator-api.ts'
import { createObjects, type Objects } from '#store/objects.ts'
import { serviceBus } from '../harness/bus.ts'
import { awaitEnd, followUntil, stdoutOf, submitJob } from '../harness/follow.ts'
import { GATE, openGate } from '../harness/gate.ts'
import { type Platform, rgrid, runCommand, startPlatform } from '../harness/platform.ts'
import { startRegistry } from '../harness/registry.ts'
import { tinyImage } from '../harness/registry-image.ts'
import { testServices } from '../harness/services.ts'

let platform: Platform
/** How far each stream was, and which objects there were, before the first value was made: those hold none, and may be many. */
let begun: Map<string, number>
const older = new Set<string>()
before(async () => {
  platform = await startPlatform()
  begun = new Map(await withStreams((manager) => Promise.all(STREAMS.map(async (name) => [name, (await manager.streams.info(name)).state.last_seq] as const))))
  await withObjects(async (store) => {
    for await (const { key } of store.list(AbortSignal.timeout(60_000))) older.add(key)
  })
})
after(() => platform?.stop())

const aValue = () => `canary-${randomBytes(12).toString('hex')}`
/** As it is, and as engines and programs write it down. */
const forms = (value: string) => [value, Buffer.from(value).toString('base64').slice(0, -4), encodeURIComponent(value)]

/** Where a value stands: every place in which it could be found after the job. */
async function placesOf(value: string): Promise<string[]> {
  const wanted = forms(value)
  const found: string[] = []
  const look = (place: string, text: string) => {
    if (wanted.some((form) => text.includes(form))) found.push(place)
  }
  for await (const [place, text] of everything()) look(place, text)
  // grep, as work folders are sparse files of gigabytes.
  const { stdout } = await runCommand('grep', ['-rlaF', ...wanted.flatMap((form) => ['-e', form]), platform.stateDir])
  return [
    ...found,
    ...stdout
      .split('\n')
      .filter(Boolean)
      .map((path) => `file ${relative(platform.stateDir, path)}`),
  ]
}

async function* everything(): AsyncGenerator<[string, string]> {
  yield* tables()
  yield* streams()
  yield* objects()
  const containers = (await runCommand('docker', ['ps', '-aq'])).stdout.split('\n').filter(Boolean)
  for (const id of containers) yield [`container ${id}`, (await runCommand('docker', ['inspect', id])).stdout]
  const { items } = (await (await platform.api('GET', '/v1/projects/default/jobs')).json()) as { items: { id: string }[] }
  for (const { id } of items)
    for (const path of [`/v1/jobs/${id}`, `/v1/jobs/${id}/logs`]) yield [`GET ${path}`, await (await platform.api('GET', path)).text()]
}

async function* tables(): AsyncGenerator<[string, string]> {
  const client = new pg.Client({ connectionString: testServices().postgresAdminUrl })
  await client.connect()
  try {
    const names = await client.query<{ name: string }>(`select format('%I.%I', table_schema, table_name) as name from information_schema.tables
      where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')`)
    assert.ok(names.rows.some(({ name }) => name === 'public.outbox'))
    for (const { name } of names.rows) yield [`table ${name}`, JSON.stringify((await client.query(`select t::text from ${name} t`)).rows)]
  } finally {
    await client.end()
  }
}

const STREAMS = [EVENT_STREAM, LOG_STREAM]

async function withStreams<T>(work: (manager: Awaited<ReturnType<Bus['manager']>>) => Promise<T>): Promise<T> {
  const bus = await serviceBus('gateway')
  try {
    return await work(await bus.manager())
  } finally {
    await bus.close()
  }
}

async function* streams(): AsyncGenerator<[string, string]> {
  yield* await withStreams(async (manager) => {
    const messages: [string, string][] = []
    for (const stream of STREAMS) {
      const { state } = await manager.streams.info(stream)
      for (let seq = Math.max(state.first_seq, (begun.get(stream) ?? 0) + 1); seq <= state.last_seq; seq++) {
        const message = await manager.streams.getMessage(stream, { seq }).catch((error: { code?: string }) => {
          if (error.code === '404') return undefined
          throw error
        })
        if (message) messages.push([`${stream} ${seq}`, `${message.subject} ${Buffer.from(message.data).toString('latin1')}`])
      }
    }
    return messages
  })
}

async function withObjects<T>(work: (store: Objects) => Promise<T>): Promise<T> {
  const { s3 } = testServices()
  const store = createObjects({ ...s3, presignUrl: s3.url })
  try {
    return await work(store)
  } finally {
    store.close()
  }
}

async function* objects(): AsyncGenerator<[string, string]> {
  yield* await withObjects(async (store) => {
    const texts: [string, string][] = []
    for await (const { key } of store.list(AbortSignal.timeout(60_000))) {
      const body = older.has(key) ? undefined : await store.read(key)
      if (!body) continue
      const bytes = await buffer(body)
      texts.push([`object ${key}`, (key.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1')])
    }
    return texts
  })
}

test('a secret set with rgrid reaches its job, is masked, and after the job it is nowhere', async () => {
  const value = aValue()
  const set = await rgrid(platform, ['secrets', 'set', 'PLAIN_NAME'], { stdin: `${value}\n` })
  assert.equal(set.code, 0, set.stderr)
  assert.ok(!(set.stdout + set.stderr).includes(value))
  const code = `echo "it has \${#WHATEVER} letters: $WHATEVER"; echo "$WHATEVER" >&2; printf %s "$WHATEVER" | base64 -w0; ${GATE}; exit 3`
  const jobId = await submitJob(platform, {
    runtime: 'bash',
    code,
    env: { WHATEVER: { secret: 'PLAIN_NAME' } },
    files: { outputs: [] },
    resources: { disk: '32Mi' },
    timeoutSeconds: 300,
  })
  await followUntil(platform, jobId, /letters: \*\*\*/)
  const { stdout: container } = await runCommand('docker', ['ps', '-q', '--filter', `label=rgrid.job=${jobId}`])
  const during = await placesOf(value)
  // While it runs its own container and its own folder hold it (docs/SECRETS.md), and nothing else.
  assert.deepEqual(during.map((place) => place.replace(/att_\w+/, 'att')).sort(), [`container ${container.trim()}`, 'file node/attempts/att/attempt.json'])
  await openGate(jobId)
  assert.equal((await awaitEnd(platform, jobId)).exitCode, 3)
  assert.match(await stdoutOf(platform, jobId), /^it has 31 letters: \*\*\*\n\*\*\*/)
  assert.deepEqual(await placesOf(value), [])
})

/** Drains the nodes that take work, or lets these take work again; returns which. */
async function setNodes(action: 'drain' | 'resume', ids?: readonly string[]): Promise<readonly string[]> {
  const { items } = (await (await platform.api('GET', '/v1/nodes')).json()) as { items: NodeView[] }
  const some = ids ?? items.filter(({ state }) => state === 'ready').map(({ id }) => id)
  assert.ok(some.length > 0)
  for (const id of some) assert.equal((await platform.api('POST', `/v1/nodes/${id}/${action}`)).status, 200)
  return some
}

test('a job whose secret has gone fails and says which', async () => {
  await rgrid(platform, ['secrets', 'set', 'SHORT_LIVED'], { stdin: 'for a moment only' })
  // Nobody takes it before the secret has gone.
  const nodes = await setNodes('drain')
  const jobId = await submitJob(platform, { runtime: 'bash', code: 'true', env: { X: { secret: 'SHORT_LIVED' } } })
  assert.equal((await rgrid(platform, ['secrets', 'delete', 'SHORT_LIVED'])).code, 0)
  await setNodes('resume', nodes)
  const job = await awaitEnd(platform, jobId)
  assert.deepEqual([job.state, job.cause], ['failed', 'input'])
  assert.match(job.message ?? '', /env\.X: the project has no secret SHORT_LIVED/)
  await assert.rejects(submitJob(platform, { runtime: 'bash', code: 'true', env: { X: { secret: 'SHORT_LIVED' } } }), /no secret SHORT_LIVED/)
})

test('an image of a private registry is pulled with the credentials of the project, which are nowhere afterwards', async () => {
  const registry = await startRegistry()
  const password = aValue()
  const reference = registry.serve('acme/private', '1', tinyImage())
  registry.protect('acme/private', { username: 'robot', password })
  try {
    const spec = { runtime: reference, command: ['/none'], files: { outputs: [] }, resources: { disk: '32Mi' } }
    const refused = await awaitEnd(platform, await submitJob(platform, spec))
    assert.deepEqual([refused.state, refused.cause], ['failed', 'image'])
    const set = await rgrid(platform, ['secrets', 'set', 'hub', '--registry', registry.host, '--username', 'robot'], { stdin: password })
    assert.equal(set.code, 0, set.stderr)
    const job = await awaitEnd(platform, await submitJob(platform, spec))
    assert.deepEqual([job.cause, job.exitCode], ['exit', 127], 'it holds no program, but it was pulled')
    assert.match(job.attempts[0]?.imageDigest ?? '', /acme\/private@sha256:/)
    assert.deepEqual(await placesOf(password), [])
    await rgrid(platform, ['secrets', 'delete', 'hub'])
    assert.equal((await awaitEnd(platform, await submitJob(platform, spec))).cause, 'image', 'without them not even what is on the machine is given')
  } finally {
    await registry.close()
    await runCommand('docker', ['rmi', '-f', reference])
  }
})
