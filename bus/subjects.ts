/** The only file that holds subject strings. `*` and `>` are NATS wildcards. */

/**
 * A part of a subject that holds an id or a name. Throws when it has anything else: the NATS client sends subjects as they
 * are, so that a wildcard would reach what is another's, and a line break would begin a command of its own.
 */
function part(text: string): string {
  if (!/^[\w-]{1,100}$/.test(text)) throw new Error(`${JSON.stringify(text.slice(0, 40))} cannot be a part of a subject`)
  return text
}

/** Says "work is ready" to one node of the pool. */
export function wakeSubject(pool: string): string {
  return `rgrid.wake.${part(pool)}`
}

/** The queue group of nodes: one of those with a free slot hears each wake-up. */
export const WAKE_QUEUE = 'runners'

/** The requests a node may make; each has its own subject below the node's own. */
export const NODE_REQUESTS = ['claim', 'report', 'uploads', 'renew'] as const
/** See NODE_REQUESTS. */
export type NodeRequest = (typeof NODE_REQUESTS)[number]

/** Where a node sends a request. */
export function nodeRequestSubject(nodeId: string, request: NodeRequest): string {
  return `rgrid.node.${part(nodeId)}.${request}`
}

/** Where the scheduler hears that request from every node. */
export function anyNodeRequestSubject(request: NodeRequest): string {
  return `rgrid.node.*.${request}`
}

/** Where a node's heartbeats go. */
export function heartbeatSubject(nodeId: string): string {
  return `rgrid.node.${part(nodeId)}.heartbeat`
}

/** Every node's heartbeats. */
export const ANY_HEARTBEAT = 'rgrid.node.*.heartbeat'

/** Where a node hears what it is told: cancel, drain, resume. */
export function controlSubject(nodeId: string): string {
  return `rgrid.node.${part(nodeId)}.control`
}

/** The node id of a subject below `rgrid.node.` or `rgrid.logs.`. The server lets a node speak only below its own. */
export function nodeIdOf(subject: string): string {
  return subject.split('.')[2] ?? ''
}

/** Where gateways tell each other how many limited requests they let through. */
export const REQUESTS_TAKEN = 'rgrid.gateways.taken'

/** Where a node publishes the log of one of its attempts. */
export function logSubject(nodeId: string, attemptId: string): string {
  return `rgrid.logs.${part(nodeId)}.${part(attemptId)}`
}

/** Every subject of the log stream. */
export const ANY_LOG = 'rgrid.logs.*.*'

/** Where a lifecycle event goes. Batch events have the batch in the place of the job. */
export function eventSubject(accountId: string, projectId: string, objectId: string): string {
  return `rgrid.events.${part(accountId)}.${part(projectId)}.${part(objectId)}`
}

/** The events of everything in a project. */
export function projectEventsSubject(accountId: string, projectId: string): string {
  return `rgrid.events.${part(accountId)}.${part(projectId)}.*`
}

/** Every subject of the event stream. */
export const ANY_EVENT = 'rgrid.events.*.*.*'

/** The inbox prefix of a node: replies to it go nowhere else. */
export function inboxPrefix(nodeId: string): string {
  return `_INBOX_${part(nodeId)}`
}

/** What a node may publish and subscribe to; the whole of its rights on the bus. */
export function nodePermissions(nodeId: string, pool: string): { pub: { allow: string[] }; sub: { allow: string[] } } {
  return {
    pub: { allow: [...NODE_REQUESTS.map((request) => nodeRequestSubject(nodeId, request)), heartbeatSubject(nodeId), `rgrid.logs.${part(nodeId)}.*`] },
    sub: { allow: [controlSubject(nodeId), `${wakeSubject(pool)} ${WAKE_QUEUE}`, `${inboxPrefix(nodeId)}.>`] },
  }
}
