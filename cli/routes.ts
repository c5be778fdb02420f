import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { MeView, NewProjectBody, NewProjectView } from '#core/account-api.ts'
import { ArtifactList, BatchView, CancelResult, FileRequest, FileView, JobDetail, JobPage, JobView, ProjectList } from '#core/api.ts'
import { BatchSpec } from '#core/batch.ts'
import { CostQuery, CostReport, Estimate, EstimateQuery, NodeCostQuery, NodeCostReport } from '#core/cost-api.ts'
import { Explanation } from '#core/explain.ts'
import { JobSpec } from '#core/job/spec.ts'
import { KeyList, KeyRotation, KeyView, NewKeyBody, NewKeyView } from '#core/key-api.ts'
import { ArtifactQuery, JobQuery, NodeQuery, PlainPage } from '#core/list-api.ts'
import { CellList, Diagnosis, NodeDetail, NodeList, NodeView } from '#core/operator-api.ts'
import { SecretBody, SecretList, SecretView } from '#core/secret-api.ts'
import {
  DeliveryDetail,
  DeliveryPage,
  DeliveryQuery,
  DeliveryView,
  NewWebhookBody,
  RedeliverRange,
  Rotation,
  WebhookChangeBody,
  WebhookList,
  WebhookView,
  WebhookWithSecret,
} from '#core/webhook-api.ts'

/** A call of the API: what it takes and answers. */
export interface Route {
  query?: TSchema
  body?: TSchema
  answer: TSchema
  /** Makes something, and takes an Idempotency-Key: repeated with the same one it makes nothing twice. */
  idempotent?: true
  /** May be said again without one: it changes nothing that is not so already. */
  repeatable?: true
}

const Nothing = Type.Null()

/** The calls that the command line makes, by method and path, with the schemas that the gateway checks with. */
export const ROUTES = {
  'GET /v1/me': { answer: MeView },
  'GET /v1/projects': { query: PlainPage, answer: ProjectList },
  'POST /v1/projects': { body: NewProjectBody, answer: NewProjectView, idempotent: true },
  'GET /v1/projects/:slug/keys': { query: PlainPage, answer: KeyList },
  'POST /v1/projects/:slug/keys': { body: NewKeyBody, answer: NewKeyView, idempotent: true },
  'GET /v1/keys/:id': { answer: KeyView },
  'POST /v1/keys/:id/rotate': { body: KeyRotation, answer: NewKeyView, idempotent: true },
  'DELETE /v1/keys/:id': { answer: Nothing },
  'POST /v1/projects/:slug/files': { body: FileRequest, answer: FileView, repeatable: true },
  'POST /v1/projects/:slug/jobs': { body: JobSpec, answer: JobView, idempotent: true },
  'GET /v1/projects/:slug/jobs': { query: JobQuery, answer: JobPage },
  'GET /v1/jobs/:id': { answer: JobDetail },
  'POST /v1/jobs/:id/cancel': { answer: CancelResult },
  'GET /v1/jobs/:id/artifacts': { query: ArtifactQuery, answer: ArtifactList },
  'POST /v1/projects/:slug/batches': { body: BatchSpec, answer: BatchView, idempotent: true },
  'GET /v1/batches/:id': { answer: BatchView },
  'POST /v1/batches/:id/cancel': { answer: CancelResult, repeatable: true },
  'GET /v1/projects/:slug/secrets': { query: PlainPage, answer: SecretList },
  'PUT /v1/projects/:slug/secrets/:name': { body: SecretBody, answer: SecretView, repeatable: true },
  'DELETE /v1/projects/:slug/secrets/:name': { answer: Nothing },
  'GET /v1/projects/:slug/webhooks': { query: PlainPage, answer: WebhookList },
  'POST /v1/projects/:slug/webhooks': { body: NewWebhookBody, answer: WebhookWithSecret, idempotent: true },
  'GET /v1/webhooks/:id': { answer: WebhookView },
  'PATCH /v1/webhooks/:id': { body: WebhookChangeBody, answer: WebhookView, repeatable: true },
  'DELETE /v1/webhooks/:id': { answer: Nothing },
  'POST /v1/webhooks/:id/rotate': { body: Rotation, answer: WebhookWithSecret, idempotent: true },
  'POST /v1/webhooks/:id/test': { answer: DeliveryView, idempotent: true },
  'GET /v1/webhooks/:id/deliveries': { query: DeliveryQuery, answer: DeliveryPage },
  'GET /v1/webhooks/:id/deliveries/:deliveryId': { answer: DeliveryDetail },
  'POST /v1/webhooks/:id/deliveries/:deliveryId/redeliver': { answer: DeliveryView, idempotent: true },
  'POST /v1/webhooks/:id/redeliver': { body: RedeliverRange, answer: Type.Object({ redelivered: Type.Integer() }), idempotent: true },
  'GET /v1/jobs/:id/explain': { answer: Explanation },
  'GET /v1/cost': { query: CostQuery, answer: CostReport },
  'POST /v1/estimate': { query: EstimateQuery, body: JobSpec, answer: Estimate, repeatable: true },
  'GET /v1/nodes': { query: NodeQuery, answer: NodeList },
  'GET /v1/nodes/:id': { answer: NodeDetail },
  'GET /v1/nodes/cost': { query: NodeCostQuery, answer: NodeCostReport },
  'GET /v1/cells': { answer: CellList },
  'POST /v1/nodes/:id/drain': { answer: NodeView, repeatable: true },
  'POST /v1/nodes/:id/resume': { answer: NodeView, repeatable: true },
  'GET /v1/doctor': { answer: Diagnosis },
} as const satisfies Record<string, Route>

/** One of them. */
export type RouteName = keyof typeof ROUTES
type Of<R extends RouteName> = (typeof ROUTES)[R]
type ParamNames<P extends string> = P extends `${string}:${infer Name}/${infer Rest}`
  ? Name | ParamNames<Rest>
  : P extends `${string}:${infer Name}`
    ? Name
    : never
type Given<R extends RouteName> = ([ParamNames<R>] extends [never] ? object : { params: Record<ParamNames<R>, string> }) &
  (Of<R> extends { body: infer B extends TSchema } ? { body: Static<B> } : object) &
  (Of<R> extends { query: infer Q extends TSchema } ? { query?: Static<Q> } : object)

/** What a call is given: the parameters of its path, its body, its query. */
export type RequestOf<R extends RouteName> = object extends Given<R> ? [request?: Given<R>] : [request: Given<R>]
/** What it answers. */
export type AnswerOf<R extends RouteName> = Static<Of<R>['answer']>
/** Those that answer page by page. */
export type ListName = { [R in RouteName]: AnswerOf<R> extends { items: unknown[]; nextCursor: string | null } ? R : never }[RouteName]
/** What such a page holds. */
export type ItemOf<R extends ListName> = AnswerOf<R> extends { items: (infer Item)[] } ? Item : never

/** The method and the address of a call. */
export function addressOf(
  name: RouteName,
  { params = {}, query = {} }: { params?: Readonly<Record<string, string>>; query?: Readonly<Record<string, unknown>> },
): { method: string; path: string } {
  const [method = '', pattern = ''] = name.split(' ')
  const path = pattern.replaceAll(/:(\w+)/g, (_, param: string) => encodeURIComponent(params[param] ?? ''))
  const search = new URLSearchParams()
  for (const [field, value] of Object.entries(query)) for (const one of [value].flat()) if (one !== undefined) search.append(field, String(one))
  return { method, path: search.size === 0 ? path : `${path}?${search}` }
}
