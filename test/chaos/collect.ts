import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import pg from 'pg'
import { pino } from 'pino'
import { connectService } from '#bus/bus.ts'
import { decode } from '#bus/codec.ts'
import { Event } from '#bus/messages/event.ts'
import { EVENT_STREAM } from '#bus/streams.ts'
import { WEBHOOK_EVENTS } from '#core/webhook-api.ts'
import { logKey } from '#store/objects.ts'
import { runCommand } from '../harness/platform.ts'
import type { ArtifactFact, AttemptFact, EventFact, Expected, Facts, HookFact, JobFact, Witness } from './check/facts.ts'
import type { Client } from './client.ts'
import { BATCH_LINES } from './jobs.ts'
import type { Servers, Stack } from './stack.ts'
import type { Ledger } from './workload.ts'

/** Reads Postgres, the bucket, the stream, Docker, the nodes' folders, the API's logs and the witnesses. */
export async function collectFacts(stack: Stack, client: Client, ledger: Ledger): Promise<Facts> {
  const db = new pg.Client({ connectionString: stack.servers.postgresAdminUrl })
  await db.connect()
  const s3 = createS3(stack.servers)
  try {
    const attempts = await readAttempts(db)
    return {
      jobs: await readJobs(db),
      attempts,
      batches: (await db.query<Facts['batches'][number]>('select id, parallel from batches')).rows,
      nodes: (await db.query<Facts['nodes'][number]>('select id, slots from nodes')).rows,
      expected: expectedOf(ledger),
      witnesses: readWitnesses(stack.witnessDir),
      logs: await readLogs(client, attempts),
      events: await readEvents(db),
      delivered: await readStream(stack.servers),
      outboxRows: Number((await db.query<{ count: string }>('select count(*) from outbox')).rows[0]?.count),
      webhooks: await readWebhooks(db, stack),
      artifacts: await readArtifacts(db, s3, stack.servers.s3.bucket),
      archivedLogs: await readArchived(db),
      objectKeys: await listObjects(s3, stack.servers.s3.bucket),
      fileKeys: (await db.query<{ key: string }>('select key from files')).rows.map((file) => file.key),
      pendingKeys: (await db.query<{ key: string }>('select key from pending_objects')).rows.map((object) => object.key),
      leftovers: await findLeftovers(stack),
    }
  } finally {
    await db.end()
    s3.destroy()
  }
}

const ms = (column: string) => `(extract(epoch from ${column}) * 1000)::float8`

async function readJobs(db: pg.Client): Promise<JobFact[]> {
  const { rows } = await db.query<JobFact>(`
    select id, batch_id as "batchId", state, cause, exit_code as "exitCode", attempt_id as "attemptId", (spec ->> 'retries')::int as retries,
      retries_used as "retriesUsed", infra_retries_used as "infraRetriesUsed", ${ms('cancel_requested_at')} as "cancelRequestedAtMs",
      ${ms('finished_at')} as "finishedAtMs"
    from jobs`)
  return rows
}

async function readAttempts(db: pg.Client): Promise<AttemptFact[]> {
  const { rows } = await db.query<AttemptFact>(`
    select id, job_id as "jobId", number, node_id as "nodeId", slots, state, cause, exit_code as "exitCode", ${ms('assigned_at')} as "assignedAtMs",
      ${ms('started_at')} as "startedAtMs",
      ${ms('finished_at')} as "finishedAtMs"
    from attempts order by job_id, number`)
  return rows
}

async function readEvents(db: pg.Client): Promise<EventFact[]> {
  const { rows } = await db.query<EventFact>(`
    select id::int, type, coalesce(job_id, batch_id) as "objectId", (data ->> 'attempt')::int as attempt, data ->> 'state' as state from events order by id`)
  return rows
}

async function readWebhooks(db: pg.Client, { receiver }: Stack): Promise<Facts['webhooks']> {
  const { rows } = await db.query<HookFact>('select id::int, type, coalesce(job_id, batch_id) as "objectId" from events where type = any($1) order by id', [
    WEBHOOK_EVENTS,
  ])
  const received = receiver.received.map(({ id, type, data }) => ({ id: Number(id.replace('evt_', '')), type, objectId: data.jobId ?? data.batchId }))
  return { events: rows, received, faults: [...receiver.faults] }
}

async function readArchived(db: pg.Client): Promise<Facts['archivedLogs']> {
  const { rows } = await db.query<{ attemptId: string; accountId: string; projectId: string; jobId: string }>(`
    select a.id as "attemptId", j.account_id as "accountId", j.project_id as "projectId", j.id as "jobId"
    from attempts a join jobs j on j.id = a.job_id where a.log_archived`)
  return rows.map((row) => ({ attemptId: row.attemptId, key: logKey(row, row.attemptId) }))
}

async function readArtifacts(db: pg.Client, s3: S3Client, bucket: string): Promise<ArtifactFact[]> {
  const { rows } = await db.query<Omit<ArtifactFact, 'object'>>(
    'select id, job_id as "jobId", path, key, size_bytes::float8 as "sizeBytes", sha256 from artifacts',
  )
  const artifacts: ArtifactFact[] = []
  for (const row of rows) artifacts.push({ ...row, object: await readObject(s3, bucket, row.key) })
  return artifacts
}

async function readObject(s3: S3Client, bucket: string, key: string): Promise<ArtifactFact['object']> {
  try {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
    const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array()
    return { sizeBytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
  } catch (error) {
    if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode === 404) return null
    throw error
  }
}

async function listObjects(s3: S3Client, bucket: string): Promise<string[]> {
  const keys: string[] = []
  for (let token: string | undefined, more = true; more; more = token !== undefined) {
    const page = await s3.send(new ListObjectsV2Command({ Bucket: bucket, ...(token === undefined ? {} : { ContinuationToken: token }) }))
    keys.push(...(page.Contents ?? []).map((object) => object.Key ?? ''))
    token = page.IsTruncated ? page.NextContinuationToken : undefined
  }
  return keys
}

async function readStream(servers: Servers): Promise<Facts['delivered']> {
  const bus = await connectService({
    name: 'chaos',
    url: servers.natsUrl,
    credsFile: join(servers.natsTrustDir, 'scheduler.creds'),
    log: pino({ level: 'silent' }),
  })
  try {
    const { state } = await (await bus.manager()).streams.info(EVENT_STREAM)
    const delivered: Facts['delivered'] = []
    if (state.messages === 0) return delivered
    const consumer = await bus.jetstream.consumers.get(EVENT_STREAM, {})
    const messages = await consumer.consume({ max_messages: 500 })
    for await (const message of messages) {
      const event = decode(Event, message.data)
      const told = event.data as { attempt?: number; state?: string }
      delivered.push({
        id: Number(event.id),
        type: event.type.replace(/^rgrid\./, ''),
        objectId: event.subject,
        attempt: told.attempt ?? null,
        state: told.state ?? null,
      })
      if (message.seq >= state.last_seq) break
    }
    return delivered
  } finally {
    await bus.close()
  }
}

async function readLogs(client: Client, attempts: readonly AttemptFact[]): Promise<Facts['logs']> {
  const logs: Facts['logs'] = new Map()
  for (const attempt of attempts) {
    const response = await client.get(`/v1/jobs/${attempt.jobId}/logs?attempt=${attempt.number}&stream=stdout`)
    if (!response.ok) continue
    const text = await response.text()
    logs.set(attempt.id, text === '' ? [] : text.replace(/\n$/, '').split('\n'))
  }
  return logs
}

/** What each job was to do, by the plan it was submitted with. */
export function expectedOf(ledger: Ledger): Map<string, Expected> {
  const expected = new Map<string, Expected>()
  for (const [id, job] of ledger.jobs) {
    const exitCodes = job.kind === 'failing' ? [3] : job.kind === 'retrying' ? [0, 5] : [0]
    expected.set(id, {
      lines: job.lines,
      exitCodes,
      end: job.expected,
      minAttempts: job.kind === 'retrying' ? 3 : job.kind === 'cancelled' ? 0 : 1,
      outputs: job.kind === 'outputs' ? OUTPUTS : [],
      cancelAcceptedAtMs: ledger.cancelAcceptedAtMs.get(id) ?? null,
    })
  }
  const end = { state: 'succeeded', cause: 'exit', exitCode: 0 }
  const batch = { lines: BATCH_LINES, exitCodes: [0], end, minAttempts: 1, outputs: [], cancelAcceptedAtMs: null }
  for (const id of ledger.batchJobIds) expected.set(id, batch)
  return expected
}

/** What a job of the kind `outputs` keeps. */
const OUTPUTS = ['id.txt', 'out/1.txt', 'out/2.txt', 'out/3.txt']

function readWitnesses(dir: string): Map<string, Witness> {
  const witnesses = new Map<string, Witness>()
  for (const name of readdirSync(dir)) {
    const lines = readFileSync(join(dir, name), 'utf8').split('\n')
    const fields = lines.map((line) => line.split(' '))
    witnesses.set(name, {
      starts: fields.filter(([word]) => word === 'start').map(([, atMs]) => Number(atMs)),
      ends: fields.filter(([word]) => word === 'end').map(([, code, atMs]) => ({ code: Number(code), atMs: Number(atMs) })),
    })
  }
  return witnesses
}

async function findLeftovers(stack: Stack): Promise<Facts['leftovers']> {
  const list = async (...args: string[]) => (await runCommand('docker', args)).stdout.split('\n').filter((line) => line !== '')
  const ofOurs = (line: string) => line.includes(stack.dir)
  const containers = (await list('ps', '-a', '--filter', 'label=rgrid.dir', '--format', '{{.Names}} {{.Label "rgrid.dir"}}')).filter(ofOurs)
  const networks = (await list('network', 'ls', '--filter', 'label=rgrid.dir', '--format', '{{.Name}} {{.Label "rgrid.dir"}}')).filter(ofOurs)
  const folders = stack.runnerDirs.flatMap((dir) => {
    const attempts = join(dir, 'attempts')
    return existsSync(attempts) ? readdirSync(attempts).map((name) => join(attempts, name)) : []
  })
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path.startsWith(stack.dir) && path.includes('/attempts/'))
  return { containers, networks, folders, mounts }
}

function createS3({ s3 }: Servers): S3Client {
  return new S3Client({
    endpoint: s3.url,
    region: s3.region,
    credentials: { accessKeyId: s3.accessKey, secretAccessKey: s3.secretKey },
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
}
