import type { Action } from '#core/access.ts'

/** The objects whose ids stand in addresses. */
export type ObjectKind = 'job' | 'batch' | 'artifact' | 'webhook' | 'key'

/**
 * Who may use a route; every route says it, and one that does not is refused at the start. Within a project: the one that
 * `:slug` names, the one of the object that `:id` names, or the one of the query (`?project=`, else the key's).
 */
export type Access =
  | { where: 'slug' | 'query'; action: Action }
  | { where: 'object'; action: Action; kind: ObjectKind }
  | { where: 'account'; action: Action }
  | { where: 'operator' }
  /** Whoever has a valid credential. */
  | { where: 'caller' }
  /** Needs no credential, or checks one of its own. */
  | { where: 'open' }

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
  }
}

const route = (access: Access) => ({ config: { access } })

/** For a route below `/projects/:slug`. */
export const inProject = (action: Action) => route({ where: 'slug', action })
/** For a route that names its project in the query, if at all. */
export const inQueried = (action: Action) => route({ where: 'query', action })
/** For a route of one object, `:id`. */
export const ofObject = (kind: ObjectKind, action: Action) => route({ where: 'object', action, kind })
/** For a route of the account. */
export const inAccount = (action: Action) => route({ where: 'account', action })
/** For those who run the installation. */
export const OPERATORS = route({ where: 'operator' })
/** For whoever has a valid credential. */
export const CALLERS = route({ where: 'caller' })
/** For everybody. */
export const OPEN = route({ where: 'open' })
