import { formatBytes } from '#core/job/quantity.ts'
import { MICRONS } from '#core/money.ts'
import type { CellList, CellView, NodeDetail, NodeView } from '#core/operator-api.ts'
import { nowMs } from '#core/service/time.ts'
import { age, type Printer, presentFields, until } from './print.ts'
import { shown } from './terminal-text.ts'

type Tables = Pick<Printer, 'tableLines'>

/** The nodes, one a line. */
export function nodeTable(print: Tables, nodes: readonly NodeView[]): string[] {
  const head = ['NODE', 'NAME', 'STATE', 'AGE', 'PAID', 'SLOTS', 'MEMORY', 'MACHINE', 'EUR/H', 'IMAGES', 'SEEN', 'WHY']
  return print.tableLines([head, ...nodes.map(toRow)])
}

function toRow(node: NodeView): string[] {
  const memory = node.usedMemoryBytes === 0 ? formatBytes(node.memoryBytes) : `${formatBytes(node.usedMemoryBytes)} of ${formatBytes(node.memoryBytes)}`
  return [
    node.id,
    shown(node.name),
    stateText(node),
    age(node.createdAt, nowMs()),
    node.endedAt === null ? until(node.paidUntil, nowMs()) : '-',
    `${node.usedSlots}/${node.slots}`,
    memory,
    machineText(node),
    priceText(node.hourMicrons),
    String(node.imageCount),
    age(node.lastSeenAt, nowMs()),
    shown(whyText(node)),
  ]
}

/** One node: a line a field, then what runs there and its images. */
export function nodeLines(print: Tables, node: NodeDetail): string[] {
  const fields = presentFields([
    ['name', shown(node.name)],
    ['pool', node.pool],
    ['state', `${stateText(node)} since ${node.stateAt}`],
    ['why', shown(whyText(node))],
    ['machine', node.provider === null ? `set up by hand, ${node.arch}` : `${machineText(node)} at ${node.provider}, ${node.arch}`],
    ['server', node.serverId],
    ['price', node.hourMicrons === null ? null : `${priceText(node.hourMicrons)} EUR an hour`],
    ['slots', `${node.usedSlots} of ${node.slots} in use`],
    ['memory', `${formatBytes(node.usedMemoryBytes)} of ${formatBytes(node.memoryBytes)} in use`],
    ['version', node.version],
    ['created', node.createdAt],
    ['enrolled', node.enrolledAt],
    ['last seen', node.lastSeenAt],
    ['billed from', node.billedFrom],
    ['paid until', node.paidUntil],
    ['ended', node.endedAt],
  ])
  const lines = print.tableLines([['node', node.id], ...fields])
  if (node.attempts.length > 0)
    lines.push('', ...print.tableLines([['ATTEMPT', 'JOB', 'STATE', 'SINCE'], ...node.attempts.map((a) => [a.attemptId, a.jobId, a.state, a.since])]))
  if (node.images.length > 0) lines.push('', ...print.tableLines([['IMAGE'], ...[...node.images].sort().map((image) => [shown(image)])]))
  return lines
}

/** The ladder, one cell a line, and what the planner decided last. */
export function cellLines(print: Tables, { items, scaling }: CellList): string[] {
  if (scaling === null && items.length === 0) return ['no machines are bought here: RGRID_CLOUD of the scheduler says where from']
  const head = ['PLACE', 'MACHINE', 'LOCATION', 'ARCH', 'SLOTS', 'MEMORY', 'EUR/H', 'NOW', 'AGAIN IN', 'CHECKED', 'LAST ERROR']
  const lines = print.tableLines([head, ...items.map(cellRow)])
  if (scaling === null) return lines
  const { shortage, missingSlots } = scaling
  const fields = presentFields([
    ['decided', `${age(scaling.decidedAt, nowMs())} ago`],
    ['bought', scaling.boughtAt === null ? 'never' : `${age(scaling.boughtAt, nowMs())} ago`],
    ['missing', missingSlots === 0 ? null : `${missingSlots} slots`],
    ['shortage', shortage === null ? null : shown(`${shortage.code}${shortage.detail === null ? '' : `: ${shortage.detail}`}`)],
    ['short for', shortage === null || shortage.since === null ? null : age(shortage.since, nowMs())],
    ['a boot takes', `${Math.round(scaling.bootSeconds)} s`],
  ])
  return [...lines, '', ...print.tableLines([['planner', scaling.provider], ...fields])]
}

function cellRow(cell: CellView): string[] {
  const error = cell.error === null ? '-' : `${cell.error.code}${cell.error.message === null ? '' : `: ${cell.error.message}`}`
  return [
    String(cell.place),
    cell.serverType,
    cell.location,
    cell.arch,
    String(cell.slots),
    formatBytes(cell.memoryBytes),
    priceText(cell.hourMicrons),
    cell.available ? 'available' : 'not available',
    until(cell.retryAt, nowMs()),
    age(cell.checkedAt, nowMs()),
    shown(error),
  ]
}

function stateText(node: NodeView): string {
  // A node that fell silent while it was to drain goes on draining when it is back.
  return node.drainRequested && node.state !== 'draining' && node.endedAt === null ? `${node.state}, to drain` : node.state
}

/** Why it failed, takes no work, or will or will not be removed. */
function whyText(node: NodeView): string {
  return node.failure ?? node.cordonReason ?? node.verdict ?? '-'
}

function machineText(node: NodeView): string {
  return node.serverType === null || node.location === null ? 'by hand' : `${node.serverType} in ${node.location}`
}

/** Hours of machines cost cents: four digits. */
function priceText(hourMicrons: number | null): string {
  return hourMicrons === null ? '-' : (hourMicrons / MICRONS).toFixed(4)
}
