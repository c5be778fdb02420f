import type { CostReport, NodeCostReport } from '#core/cost-api.ts'
import { formatMicrons } from '#core/money.ts'
import { formatDuration } from '#core/service/time.ts'
import { type Command, type Context, type OptionValues, text } from '../command.ts'
import { parseCount, parseTime } from '../duration.ts'
import { noArguments } from '../parse.ts'
import { UsageError } from '../usage-error.ts'

const BY = /^(day|batch|job|label:.+)$/
const NODES_BY = /^(day|node|type)$/

/** `rgrid cost`. */
export const costCommand: Command = {
  name: 'cost',
  usage: '',
  summary: 'Says what the project cost this month: its share of the machines it ran on, and what it was charged.',
  options: {
    by: { type: 'string', value: 'WHAT', help: 'day (by default), batch, job, or label:KEY; with --nodes: day, node or type' },
    since: { type: 'string', value: 'TIME', help: 'from this day on (UTC): 7d ago, or 2026-11-01; by default the first of the month' },
    until: { type: 'string', value: 'TIME', help: 'until this day; by default today' },
    limit: { type: 'string', value: 'N', help: 'so many lines, the dearest (100)' },
    nodes: { type: 'boolean', help: 'what machines cost, and how much of it nobody used (operators)' },
    json: { type: 'boolean', help: 'print JSON' },
  },
  async run(context, options, args) {
    noArguments('cost', args)
    const nodes = options.nodes === true
    const query = queryOf(options, nodes)
    if (nodes) await showNodes(context, query, options.json === true)
    else await showProject(context, query, options.json === true)
    return 0
  },
}

/** What both reports take; a report of a project also takes the project. */
type Query = { by: string; since?: string; until?: string; limit?: number }

function queryOf(options: OptionValues, nodes: boolean): Query {
  const by = text(options, 'by') ?? 'day'
  if (!(nodes ? NODES_BY : BY).test(by))
    throw new UsageError(`--by: "${by}" is not known${nodes ? ' with --nodes' : ''}; say ${nodes ? 'day, node or type' : 'day, batch, job or label:KEY'}`)
  const query: Query = { by }
  for (const name of ['since', 'until'] as const) {
    const value = text(options, name)
    if (value !== undefined) query[name] = parseTime(name, value).slice(0, 10)
  }
  const limit = text(options, 'limit')
  if (limit !== undefined) query.limit = parseCount('limit', limit, 1, 1000)
  return query
}

async function showProject({ client, print, defaults }: Context, query: Query, json: boolean): Promise<void> {
  const project = defaults.project ?? (await client().project())
  const report = await client().call('GET /v1/cost', { query: { ...query, project } })
  if (json) return print.json(report)
  print.table([
    [report.by.replace(/^label:/, '').toUpperCase(), 'NAME', 'ATTEMPTS', 'SLOT TIME', 'COST', 'CHARGE'],
    ...report.items.map((item) => [item.key ?? '-', item.name ?? '-', ...toCells(item)]),
    ['total', '', ...toCells(report.total)],
  ])
  if (report.total.provisionalMicrons > 0) print.say('* partly of hours that are not closed yet: this may still change')
  sayOmitted(print, report.omitted)
}

function toCells(sums: CostReport['total']): string[] {
  const mark = sums.provisionalMicrons > 0 ? ' *' : ''
  return [String(sums.attempts), formatDuration(sums.slotSeconds * 1000), `${formatMicrons(sums.costMicrons)}${mark}`, formatMicrons(sums.chargeMicrons)]
}

async function showNodes({ client, print }: Context, query: Query, json: boolean): Promise<void> {
  const report = await client().call('GET /v1/nodes/cost', { query })
  if (json) return print.json(report)
  const cells = ({ hours, paidMicrons, costMicrons, idleMicrons }: NodeCostReport['total']) => {
    const idle = paidMicrons === 0 ? '' : `${((idleMicrons / paidMicrons) * 100).toFixed(1)} %`
    return [String(hours), formatMicrons(paidMicrons), formatMicrons(costMicrons), formatMicrons(idleMicrons), idle]
  }
  print.table([
    [report.by.toUpperCase(), 'HOURS', 'PAID', 'USED', 'IDLE', ''],
    ...report.items.map((item) => [item.key ?? '-', ...cells(item)]),
    ['total', ...cells(report.total)],
  ])
  if (report.open.nodes > 0)
    print.say(`machines there now: ${report.open.nodes}, for ${formatMicrons(report.open.hourMicrons)} an hour; hours that are not over are not in this`)
  sayOmitted(print, report.omitted)
}

function sayOmitted(print: Context['print'], omitted: number): void {
  if (omitted > 0) print.say(`${omitted} more are in the total; --limit shows more`)
}
