import type { Command, Context } from '../command.ts'
import { cellLines, nodeLines, nodeTable } from '../nodes-view.ts'
import { UsageError } from '../usage-error.ts'

/** `rgrid nodes`. */
export const nodesCommand: Command = {
  name: 'nodes',
  usage: '[NODE | drain NODE | resume NODE]',
  summary: 'Shows the nodes: their life, what they cost, why each stays or goes; lets one take no more work, or take work again (operators).',
  options: {
    all: { type: 'boolean', help: 'those too that are gone, or failed, since a day' },
    cells: { type: 'boolean', help: 'what can be bought instead, in the order in which it is tried' },
    json: { type: 'boolean', help: 'print JSON, a line a node' },
  },
  details: `  rgrid nodes                     the nodes, newest first
  rgrid nodes node_…              one of them, with its images and what runs there
  rgrid nodes --cells             types of machines by place: price, availability, last error
  rgrid nodes drain node_…        before maintenance: nothing new starts there, what runs may end
  rgrid nodes resume node_…       it takes work again, also one that was cordoned as it failed jobs`,
  async run(context, options, args) {
    const { client, print } = context
    const json = options.json === true
    const [verb = 'list', id, ...more] = args
    if (more.length > 0 || (options.all === true && (verb !== 'list' || options.cells === true)) || (options.cells === true && args.length > 0)) throw misused()
    if (options.cells === true) {
      const list = await client().call('GET /v1/cells')
      return show(print, json, [list], () => cellLines(print, list))
    }
    if (verb === 'list' && id === undefined) {
      const items = await Array.fromAsync(client().all('GET /v1/nodes', { query: options.all === true ? { all: true } : {} }))
      return show(print, json, items, () => nodeTable(print, items))
    }
    if (verb.startsWith('node_') && id === undefined) {
      const node = await client().call('GET /v1/nodes/:id', { params: { id: verb } })
      return show(print, json, [node], () => nodeLines(print, node))
    }
    if ((verb !== 'drain' && verb !== 'resume') || !id) throw misused()
    if (!id.startsWith('node_')) throw misused()
    const node = await client().call(`POST /v1/nodes/:id/${verb}`, { params: { id } })
    return show(print, json, [node], () => nodeTable(print, [node]))
  },
}

function misused(): UsageError {
  return new UsageError(
    'say "rgrid nodes" (--all), "rgrid nodes NODE", "rgrid nodes --cells", "rgrid nodes drain NODE" or "rgrid nodes resume NODE"; NODE is an id, such as node_01…',
  )
}

function show(print: Context['print'], json: boolean, documents: readonly unknown[], lines: () => string[]): number {
  if (json) for (const document of documents) print.json(document)
  else for (const line of lines()) print.out(line)
  return 0
}
