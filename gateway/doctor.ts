import { errorText } from '#core/errors.ts'
import { withDeadline } from '#core/service/time.ts'
import { examineDatabase, type Finding, knownKeys, MAX_PROBLEMS, WANTED_OBJECTS } from '#store/doctor.ts'
import type { TenantDeps } from './deps.ts'

/** An event that waits longer than this is not being relayed. */
const OUTBOX_SECONDS = 10
/** Bounds the time that one look takes. */
const MAX_OBJECTS = 200_000
const PAGE = 1000
/** A flush waits for as long as the connection is away. */
const ANSWER_MS = 2000

/** Looks at the whole installation: the database, and the object store beside it. */
export async function examine(deps: TenantDeps, signal: AbortSignal): Promise<Finding[]> {
  return [...(await examineDatabase(deps.db, OUTBOX_SECONDS)), await examineBus(deps), await examineObjects(deps, signal)]
}

async function examineBus(deps: TenantDeps): Promise<Finding> {
  const finding: Finding = { name: 'the bus answers', checked: 1, problems: [], hint: 'is NATS running, and does RGRID_NATS_URL name it?' }
  await withDeadline('NATS', ANSWER_MS, () => deps.bus.connection.flush()).catch((error: unknown) =>
    finding.problems.push(`NATS does not answer: ${errorText(error)}`),
  )
  return finding
}

/** What is listed is kept, bounded in number; each row takes its object out of it, and what is left has no row. */
async function examineObjects(deps: TenantDeps, signal: AbortSignal): Promise<Finding> {
  const finding: Finding = {
    name: 'object storage matches its rows',
    checked: 0,
    problems: [],
    hint: 'a missing object cannot be brought back: look at the object store’s own log. One without a row can be deleted',
  }
  try {
    const listed = new Map<string, number>()
    let lastKey: string | undefined
    for await (const object of deps.objects.list(signal)) {
      if (listed.size >= MAX_OBJECTS) {
        // Listed in the order of their keys: what lies behind this one is not looked at.
        lastKey = [...listed.keys()].at(-1)
        finding.name += ` (the first ${MAX_OBJECTS})`
        break
      }
      listed.set(object.key, object.sizeBytes)
    }
    finding.checked = listed.size
    for (const kind of WANTED_OBJECTS) await compareRows(deps, kind, listed, lastKey, finding.problems, signal)
    await nameStrays(deps, [...listed.keys()], finding.problems, signal)
  } catch (error) {
    finding.problems.push(`the object store could not be compared to its end: ${errorText(error)}`)
  }
  return finding
}

type Kind = (typeof WANTED_OBJECTS)[number]

async function compareRows(
  deps: TenantDeps,
  kind: Kind,
  listed: Map<string, number>,
  lastKey: string | undefined,
  problems: string[],
  signal: AbortSignal,
): Promise<void> {
  for (let afterId = '', more = true; more && problems.length < MAX_PROBLEMS; ) {
    signal.throwIfAborted()
    const rows = await kind.page(deps.db, afterId, PAGE)
    const looked = lastKey === undefined ? rows : rows.filter(({ key }) => isNotBehind(key, lastKey))
    for (const { id, key, sizeBytes } of looked) {
      // What came after the listing is asked for by itself.
      const found = listed.get(key) ?? (await deps.objects.size(key))
      listed.delete(key)
      if (found === undefined) {
        // Unless it has expired meanwhile.
        if (await knownAgain(deps, kind, id)) problems.push(`${kind.what} ${id} has no object ${key}`)
      } else if (sizeBytes !== null && found !== sizeBytes)
        problems.push(`${kind.what} ${id} is ${found} bytes long in the object store, its row says ${sizeBytes}`)
    }
    more = rows.length === PAGE
    afterId = rows.at(-1)?.id ?? afterId
  }
}

/** Whether the row still says that there is an object: it is among the first behind an id that is one place shorter. */
async function knownAgain(deps: TenantDeps, kind: Kind, id: string): Promise<boolean> {
  return (await kind.page(deps.db, id.slice(0, -1), 40)).some((row) => row.id === id)
}

/** S3 lists keys in the order of their UTF-8 bytes. */
function isNotBehind(key: string, lastKey: string): boolean {
  return Buffer.compare(Buffer.from(key), Buffer.from(lastKey)) <= 0
}

/** Looked up once more, as an attempt may have ended, or the object been deleted, while this ran. */
async function nameStrays(deps: TenantDeps, keys: string[], problems: string[], signal: AbortSignal): Promise<void> {
  while (keys.length > 0 && problems.length < MAX_PROBLEMS) {
    signal.throwIfAborted()
    const page = keys.splice(0, PAGE)
    const known = await knownKeys(deps.db, page)
    for (const key of page) {
      if (known.has(key) || (await deps.objects.size(key)) === undefined) continue
      if (!(await knownKeys(deps.db, [key])).has(key)) problems.push(`the object ${key} has no row`)
    }
  }
}
