import { sleep } from '#core/service/time.ts'

/** The API as a patient client uses it: any gateway, again after a failure. */
export interface Client {
  get(path: string): Promise<Response>
  post(path: string, body?: unknown): Promise<Response>
  /** Submits a job or a batch once, whatever happens to the answers: it is looked for by its name before it is sent again. */
  submitOnce(name: string, body: unknown): Promise<string>
  /** The id of the node of this name that was heard last; undefined when there is none. */
  nodeNamed(name: string): Promise<string | undefined>
  /** Resolves when so many nodes are ready; throws after three minutes. */
  awaitNodes(count: number): Promise<void>
}

const DEADLINE_MS = 8000
const AGAIN_MS = 400
const GIVE_UP_MS = 120_000
const NODES_MS = 180_000

/** A client of these gateways. */
export function createClient(apiUrls: readonly string[], apiKey: string): Client {
  let turn = 0

  async function once(method: string, path: string, body?: unknown): Promise<Response> {
    turn++
    const response = await fetch(`${apiUrls[turn % apiUrls.length]}${path}`, {
      method,
      headers: { authorization: `Bearer ${apiKey}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(DEADLINE_MS),
    })
    if (response.status >= 500) throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`)
    return response
  }

  async function patiently(method: string, path: string, body?: unknown): Promise<Response> {
    const endsMs = performance.now() + GIVE_UP_MS
    for (;;) {
      try {
        return await once(method, path, body)
      } catch (error) {
        if (performance.now() > endsMs) throw error
        await sleep(AGAIN_MS)
      }
    }
  }

  async function findByName(name: string): Promise<string | undefined> {
    const { items } = (await (await patiently('GET', `/v1/projects/default/jobs?name=${name}`)).json()) as { items: { id: string }[] }
    return items[0]?.id
  }

  return {
    get: (path) => patiently('GET', path),
    post: (path, body) => patiently('POST', path, body),
    async submitOnce(name, body) {
      for (;;) {
        try {
          const response = await once('POST', '/v1/projects/default/jobs', body)
          const job = (await response.json()) as { id: string; detail?: string }
          if (response.status !== 201) throw new TypeError(`${name} was refused: ${job.detail}`)
          return job.id
        } catch (error) {
          if (error instanceof TypeError && /was refused/.test(error.message)) throw error
          // The answer may be lost, or still on its way into the database.
          await sleep(AGAIN_MS * 3)
          const id = await findByName(name)
          if (id !== undefined) return id
        }
      }
    },
    async awaitNodes(count) {
      for (const endsMs = performance.now() + NODES_MS; ; await sleep(AGAIN_MS)) {
        const { items } = (await (await patiently('GET', '/v1/nodes')).json()) as { items: { state: string; lastSeenAt: string | null }[] }
        const ready = items.filter((node) => node.state === 'ready' && node.lastSeenAt !== null).length
        if (ready >= count) return
        if (performance.now() > endsMs) throw new Error(`${ready} of ${count} nodes are ready after three minutes; their logs are in the run's folder`)
      }
    },
    async nodeNamed(name) {
      const { items } = (await (await patiently('GET', '/v1/nodes')).json()) as { items: { id: string; name: string; lastSeenAt: string | null }[] }
      const named = items.filter((node) => node.name === name)
      return named.sort((a, b) => Date.parse(b.lastSeenAt ?? '0') - Date.parse(a.lastSeenAt ?? '0'))[0]?.id
    },
  }
}
