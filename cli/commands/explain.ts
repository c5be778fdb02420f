import type { CellTrouble, Explanation } from '#core/explain.ts'
import { formatBytes } from '#core/job/quantity.ts'
import { nowMs } from '#core/service/time.ts'
import type { Command, Context } from '../command.ts'
import { onlyArgument } from '../parse.ts'
import { presentFields, until } from '../print.ts'
import { shown } from '../terminal-text.ts'

/** `rgrid explain`. */
export const explainCommand: Command = {
  name: 'explain',
  usage: 'JOB',
  summary: 'Says why a job is where it is: one reason of a closed list, with its details.',
  options: { json: { type: 'boolean', help: 'print JSON' } },
  async run({ client, print }, options, args) {
    const explanation = await client().call('GET /v1/jobs/:id/explain', { params: { id: onlyArgument(args, 'job') } })
    if (options.json === true) print.json(explanation)
    else for (const line of linesOf(print, explanation)) print.out(line)
    return 0
  },
}

/** Where the name alone would be taken for something else: `state` of a machine that boots for that of the job. */
const LABELS: Readonly<Record<string, string>> = { state: 'node state', orMore: 'or more ahead' }

function linesOf(print: Context['print'], { jobId, state, code, message, details }: Explanation): string[] {
  const { cells, ...others } = { cells: [] as CellTrouble[], ...details }
  const fields = Object.entries(others)
    .filter(([name, value]) => value !== false && !(name === 'state' && value === state))
    .map(([name, value]): [string, string | null] => [LABELS[name] ?? inWords(name), valueText(name, value)])
  const lines = print.tableLines([['job', jobId], ...presentFields([['state', state], ['reason', code], ['why', shown(message)], ...fields])])
  if (cells.length === 0) return lines
  return [...lines, '', ...print.tableLines([['MACHINE', 'LOCATION', 'AGAIN IN', 'WHY NOT'], ...cells.map(cellRow)])]
}

/** `retryAt` as `retry at`. */
function inWords(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).replace(/ bytes$/, '')
}

function valueText(name: string, value: unknown): string | null {
  if (value === null || value === undefined) return null
  if (typeof value === 'object')
    return Object.entries(value)
      .map(([inner, each]) => `${inWords(inner)} ${valueText(inner, each)}`)
      .join(', ')
  if (name === 'memoryBytes') return formatBytes(Number(value))
  return typeof value === 'boolean' ? (value ? 'yes' : 'no') : shown(String(value))
}

function cellRow({ serverType, location, error, retryAt }: CellTrouble): string[] {
  const why = error === null ? 'not available' : error.message ? `${error.code}: ${error.message}` : error.code
  return [serverType, location, until(retryAt, nowMs()), shown(why)]
}
