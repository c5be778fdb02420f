import { errorText } from '#core/errors.ts'
import { examineDatabase, type Finding, MAX_PROBLEMS, pendingKeys, WANTED_OBJECTS } from '#store/doctor.ts'
import type { GatewayDeps } from './deps.ts'

/** An event that waits longer than this is not being relayed. */
const OUTBOX_SECONDS = 10
/** Bounds the time that one look takes. */
const MAX_OBJECTS = 200_000
const PAGE = 1000

/** Looks at the whole installation: the database, and the object store beside it. */
export async function examine(deps: GatewayDeps, signal: AbortSignal): Promise<Finding[]> {
  return [...(await examineDatabase(deps.db, OUTBOX_SECONDS)), await examineBus(deps), await examineObjects(deps, signal)]
}

async function examineBus(deps: GatewayDeps): Promise<Finding> {
  const finding: Finding = { name: 'the bus answers', checked: 1, problems: [], hint: 'is NATS running, and does RGRID_NATS_URL name it?' }
  await deps.bus.connection.flush().catch((error: unknown) => finding.problems.push(`NATS does not answer: ${errorText(error)}`))
  return finding
}

/** What is listed is kept, bounded in number; each row takes its object out of it, and what is left has no row. */
async function examineObjects(deps: GatewayDeps, signal: AbortSignal): Promise<Finding> {
  const finding: Finding = {
    name: 'object storage matches its rows',
    checked: 0,
    problems: [],
    hint: 'a missing object cannot be brought back: look at the object store’s own log. One without a row can be deleted',
  }
  try {
    const listed = new Map<string, number>()
    for await (const object of deps.objects.list(signal)) {
      if (listed.size >= MAX_OBJECTS) return { ...finding, problems: [`there are more than ${MAX_OBJECTS} objects: too many to compare in one look`] }
      listed.set(object.key, object.sizeBytes)
    }
    finding.checked = listed.size
    for (const kind of WANTED_OBJECTS) await compareRows(deps, kind, listed, finding.problems)
    await nameStrays(deps, [...listed.keys()], finding.problems)
  } catch (error) {
    finding.problems.push(`the object store does not answer: ${errorText(error)}`)
  }
  return finding
}

async function compareRows(deps: GatewayDeps, kind: (typeof WANTED_OBJECTS)[number], listed: Map<string, number>, problems: string[]): Promise<void> {
  for (let afterId = '', more = true; more && problems.length < MAX_PROBLEMS; ) {
    const rows = await kind.page(deps.db, afterId, PAGE)
    for (const { id, key, sizeBytes } of rows) {
      // What came after the listing is asked for by itself.
      const found = listed.get(key) ?? (await deps.objects.size(key))
      if (found === undefined) problems.push(`${kind.what} ${id} has no object ${key}`)
      else if (sizeBytes !== null && found !== sizeBytes)
        problems.push(`${kind.what} ${id} is ${found} bytes long in the object store, its row says ${sizeBytes}`)
      listed.delete(key)
    }
    more = rows.length === PAGE
    afterId = rows.at(-1)?.id ?? afterId
  }
}

async function nameStrays(deps: GatewayDeps, keys: string[], problems: string[]): Promise<void> {
  while (keys.length > 0 && problems.length < MAX_PROBLEMS) {
    const page = keys.splice(0, PAGE)
    const pending = await pendingKeys(deps.db, page)
    for (const key of page) if (!pending.has(key)) problems.push(`the object ${key} has no row`)
  }
}
