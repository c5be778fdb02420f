import { fork } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { join } from 'node:path'

/** Where one submits, and with which key. */
export interface Project {
  /** Without a slash at the end. */
  url: string
  key: string
}

/** What a neighbour sends again and again; all of it is wrong in its last item, so that no limit of jobs or money counts it. */
export interface Flood {
  path: string
  type: string
  body: Buffer
}

const TEMPLATE = { runtime: 'bash', command: ['echo'] }
const itemOf = (i: number) => ({ name: `item-${i}`, args: [`input-${i}.json`, 'x'.repeat(400)], env: { SHARD: String(i) } })
const items = (count: number): object[] => [...Array.from({ length: count - 1 }, (_, i) => itemOf(i)), { nonsense: 1 }]

/** By what they are called. Made when they are sent. */
export const FLOODS = {
  /** A batch of 4 MiB as one document, the largest there may be. */
  document: () => flood('batches', 'application/json', JSON.stringify({ template: TEMPLATE, items: items(8700) })),
  /** A batch of 45 MiB line by line. */
  lines: () => flood('batches', 'application/x-ndjson', [{ template: TEMPLATE }, ...items(99_000)].map((line) => JSON.stringify(line)).join('\n')),
  /** A single job of 4 MiB of nonsense. */
  job: () => flood('jobs', 'application/json', JSON.stringify({ spec: items(8700) })),
}
/** One of them. */
export type FloodName = keyof typeof FLOODS

function flood(path: string, type: string, text: string): Flood {
  return { path, type, body: Buffer.from(text) }
}

/** Sends it over so many connections, again and again, until the returned function is called; that resolves with how many answers had which status. */
export function send(project: Project, make: () => Flood, connections: number): () => Promise<Map<string, number>> {
  const { path, type, body } = make()
  const answers = new Map<string, number>()
  let over = false
  const count = (what: string) => void answers.set(what, (answers.get(what) ?? 0) + 1)
  const one = () =>
    new Promise<void>((resolve) => {
      const headers = { 'content-type': type, authorization: `Bearer ${project.key}`, 'content-length': body.length }
      const call = request(`${project.url}/${path}`, { method: 'POST', headers }, (response) => {
        count(String(response.statusCode))
        response.resume().on('close', resolve)
      })
      call.on('error', (error: Error & { code?: string }) => {
        count(error.code ?? error.message)
        resolve()
      })
      call.end(body)
    })
  const loops = Array.from({ length: connections }, async () => {
    while (!over) await one()
  })
  return async () => {
    over = true
    await Promise.all(loops)
    return answers
  }
}

/** The same from a process of its own, so that it keeps nobody from measuring. */
export function sendFromOutside(project: Project, name: FloodName, connections: number): () => Promise<Record<string, number>> {
  const child = fork(join(import.meta.dirname, 'flood-process.ts'))
  child.send({ ...project, name, connections })
  return async () => {
    child.send('end')
    const [answers] = (await once(child, 'message')) as [Record<string, number>]
    return answers
  }
}
