import { styleText } from 'node:util'
import { formatBytes } from '#core/job/quantity.ts'
import { lines } from '#core/lines.ts'
import type { LogMatch, LogSearchSummary } from '#core/log-search-api.ts'
import type { Client } from './client.ts'
import type { Printer } from './print.ts'
import { shown } from './terminal-text.ts'

/** What is searched for, and where. */
export interface LogSearch {
  query: string
  ignoreCase: boolean
  batch?: string | undefined
  since?: string | undefined
  until?: string | undefined
  json: boolean
}

type Summary = LogSearchSummary['summary']

const MAX_LINE_BYTES = 2 ** 20

/** Prints the lines of archived logs that hold a text, to the end of what there is to look at. Resolves with 1 when there are none, as grep does. */
export async function searchLogs(client: Client, print: Printer, project: string, search: LogSearch): Promise<number> {
  const query = new URLSearchParams({ query: search.query })
  for (const name of ['batch', 'since', 'until'] as const) if (search[name] !== undefined) query.set(name, search[name])
  if (search.ignoreCase) query.set('ignoreCase', 'true')
  const total: Summary = { scannedJobs: 0, scannedBytes: 0, matches: 0, notArchived: 0, expired: 0, unreadable: 0, nextCursor: null }
  do {
    const summary = await readAnswer(client, `/v1/projects/${encodeURIComponent(project)}/logs?${query}`, (match) => {
      if (search.json) print.json(match)
      else print.out(toLine(match, search))
    })
    for (const name of ['scannedJobs', 'scannedBytes', 'matches', 'notArchived', 'expired', 'unreadable'] as const) total[name] += summary[name]
    total.nextCursor = summary.nextCursor
    query.set('cursor', summary.nextCursor ?? '')
  } while (total.nextCursor !== null)
  print.say(describe(total))
  return total.matches > 0 ? 0 : 1
}

async function readAnswer(client: Client, path: string, take: (match: LogMatch) => void): Promise<Summary> {
  const response = await client.stream(path, {}, new AbortController().signal)
  for await (const line of lines(response.body ?? new ReadableStream(), MAX_LINE_BYTES)) {
    const found = JSON.parse(line.toString('utf8')) as LogMatch | LogSearchSummary
    if ('summary' in found) return found.summary
    take(found)
  }
  throw new Error('the answer broke off; search again')
}

/** `report job_01… │ the line`, with what was looked for in colour on a terminal. */
function toLine(match: LogMatch, { query, ignoreCase }: LogSearch): string {
  const head = `${match.name ?? (match.batchIndex === null ? '' : `item ${match.batchIndex}`)} ${match.jobId}`.trim()
  const text = process.stdout.isTTY ? shown(match.line) : match.line
  const at = ignoreCase ? text.toLowerCase().indexOf(query.toLowerCase()) : text.indexOf(query)
  if (!process.stdout.isTTY || at === -1) return `${head} | ${text}`
  const end = at + query.length
  return `${styleText('cyan', head)} | ${text.slice(0, at)}${styleText(['bold', 'red'], text.slice(at, end))}${text.slice(end)}`
}

function describe(total: Summary): string {
  const notes = [
    total.notArchived > 0 && `${total.notArchived} not archived (yet)`,
    total.expired > 0 && `${total.expired} past their retention`,
    total.unreadable > 0 && `${total.unreadable} could not be read to the end`,
  ].filter((note) => note !== false)
  const rest = notes.length > 0 ? `; logs left out: ${notes.join(', ')}` : ''
  const [lines, jobs] = [total.matches === 1 ? 'line' : 'lines', total.scannedJobs === 1 ? 'job' : 'jobs']
  return `${total.matches} ${lines} in the logs of ${total.scannedJobs} ${jobs} (${formatBytes(total.scannedBytes)})${rest}`
}
