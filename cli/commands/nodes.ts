import { formatBytes } from '#core/job/quantity.ts'
import type { NodeView } from '#core/operator-api.ts'
import { nowMs } from '#core/service/time.ts'
import type { Command, Context } from '../command.ts'
import { age } from '../print.ts'
import { UsageError } from '../usage-error.ts'

/** `rgrid nodes`. */
export const nodesCommand: Command = {
  name: 'nodes',
  usage: '[list | drain NODE | resume NODE]',
  summary: 'Lists the nodes; lets one take no more work, or take work again (operators).',
  options: { json: { type: 'boolean', help: 'print JSON, a line a node' } },
  details: `  rgrid nodes                     the nodes, newest first
  rgrid nodes drain node_…        before maintenance: nothing new starts there, what runs may end
  rgrid nodes resume node_…       it takes work again`,
  async run({ client, print }, options, args) {
    const nodes = await ask(client, args)
    if (options.json === true) for (const node of nodes) print.json(node)
    else print.table([['NODE', 'NAME', 'STATE', 'SLOTS', 'MEMORY', 'VERSION', 'SEEN'], ...nodes.map(toRow)])
    return 0
  },
}

async function ask(client: Context['client'], args: readonly string[]): Promise<NodeView[]> {
  const [verb = 'list', id, ...more] = args
  if (verb === 'list' && id === undefined) return Array.fromAsync(client().all('GET /v1/nodes'))
  if ((verb !== 'drain' && verb !== 'resume') || !id || more.length > 0)
    throw new UsageError('say "rgrid nodes", "rgrid nodes drain NODE" or "rgrid nodes resume NODE"')
  return [await client().call(`POST /v1/nodes/:id/${verb}`, { params: { id } })]
}

function toRow(node: NodeView): string[] {
  // A node that fell silent while it was to drain goes on draining when it is back.
  const state = node.drainRequested && node.state !== 'draining' ? `${node.state}, to drain` : node.state
  return [node.id, node.name, state, `${node.usedSlots}/${node.slots}`, formatBytes(node.memoryBytes), node.version, age(node.lastSeenAt, nowMs())]
}
