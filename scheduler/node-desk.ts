import type { Bus } from '#bus/bus.ts'
import { ClaimReply, ClaimRequest } from '#bus/messages/claim.ts'
import { Heartbeat, RenewReply, RenewRequest } from '#bus/messages/node.ts'
import { ReportReply, ReportRequest, UploadsReply, UploadsRequest } from '#bus/messages/report.ts'
import { ANY_HEARTBEAT, anyNodeRequestSubject, inboxPrefix, nodeIdOf } from '#bus/subjects.ts'
import type { Service } from '#core/service/run.ts'
import { createNodeTurns } from './node-turns.ts'
import type { Presence } from './presence.ts'

/** Who answers each kind of request. */
export interface NodeDeskDeps {
  bus: Bus
  presence: Presence
  claim(nodeId: string, request: ClaimRequest): Promise<ClaimReply>
  report(nodeId: string, request: ReportRequest): Promise<ReportReply>
  uploads(nodeId: string, request: UploadsRequest): Promise<UploadsReply>
  renew(nodeId: string, request: RenewRequest): Promise<RenewReply>
}

const QUEUE = 'scheduler'
/** So many of one node wait at most. It asks for work and about its leases one at a time, and reports for each attempt. */
const IN_LINE = { ask: 16, report: 256 }

/**
 * Where nodes are heard. A node is known by the subject it speaks on, which the server lets nobody else use; and it
 * is answered in its own inbox only, or it could make us speak in its place.
 */
export function createNodeDesk(deps: NodeDeskDeps): Service {
  const { bus } = deps
  const ownInbox = (reply: string, subject: string) => reply.startsWith(`${inboxPrefix(nodeIdOf(subject))}.`)
  const asks = createNodeTurns(IN_LINE.ask)
  const reports = createNodeTurns(IN_LINE.report)
  const inTurn =
    <Q, A>(turns: typeof asks, answer: (nodeId: string, request: Q) => Promise<A>) =>
    (request: Q, subject: string) => {
      const nodeId = nodeIdOf(subject)
      return turns.take(nodeId, () => answer(nodeId, request))
    }
  let subscriptions: { drain(): Promise<void> }[] = []

  return {
    name: 'node-desk',
    async start() {
      subscriptions = [
        bus.subscribe(ANY_HEARTBEAT, Heartbeat, (beat, subject) => deps.presence.heard(nodeIdOf(subject), beat)),
        bus.serve(anyNodeRequestSubject('claim'), QUEUE, ClaimRequest, ClaimReply, inTurn(asks, deps.claim), ownInbox),
        bus.serve(anyNodeRequestSubject('report'), QUEUE, ReportRequest, ReportReply, inTurn(reports, deps.report), ownInbox),
        bus.serve(anyNodeRequestSubject('uploads'), QUEUE, UploadsRequest, UploadsReply, inTurn(reports, deps.uploads), ownInbox),
        bus.serve(anyNodeRequestSubject('renew'), QUEUE, RenewRequest, RenewReply, inTurn(asks, deps.renew), ownInbox),
      ]
    },
    async stop() {
      await Promise.all(subscriptions.map((subscription) => subscription.drain()))
      subscriptions = []
    },
  }
}
