import { type Action, atLeast, mightier, OPERATOR, type Role, roleMay, scopesMay } from '#core/access.ts'

/** A project, as its id and as addresses name it. */
export interface ProjectRef {
  id: string
  slug: string
}

/** Whom a valid credential speaks for. */
export interface Caller {
  kind: 'key' | 'user'
  /** `key_…` or `user_…`. */
  id: string
  name: string
  accountId: string
  operator: boolean
  /** The one project of a key; null for people. */
  project: ProjectRef | null
  /** Of a key. */
  scopes: readonly string[]
  /** Of a person: the role in the account, and those in single projects. */
  role: Role | null
  projectRoles: ReadonlyMap<string, Role>
  /** Of a person: the account that the token gives a role in, until it expires. */
  vouched: { accountId: string; untilMs: number } | null
}

/** A caller within one project: what routes work with. */
export interface Principal {
  caller: Caller
  accountId: string
  projectId: string
  projectSlug: string
}

/** Whether the caller knows of this project at all. One that he does not is not found. */
export function sees(caller: Caller, projectId: string): boolean {
  return caller.kind === 'key' ? caller.project?.id === projectId : roleIn(caller, projectId) !== null
}

/** Whether the caller may do that: in this project, or in the account. */
export function may(caller: Caller, action: Action, projectId: string | null): boolean {
  return caller.kind === 'key' ? scopesMay(caller.scopes, action) : roleMay(projectId === null ? caller.role : roleIn(caller, projectId), action)
}

/** Whether these scopes give nothing that the caller does not have: nobody makes, or gets hold of, a key that is mightier. */
export function mayGive(caller: Caller, scopes: readonly string[], projectId: string): boolean {
  if (scopes.includes(OPERATOR) && !caller.operator) return false
  const wanted = scopes.filter((scope) => scope !== OPERATOR)
  if (caller.kind === 'key') return caller.scopes.includes('*') || wanted.every((scope) => caller.scopes.includes(scope))
  if (wanted.includes('*')) return may(caller, 'members:admin', projectId)
  return wanted.every((scope) => may(caller, scope as Action, projectId))
}

/** Whether the caller may give, or take, this role: none that is mightier than his own. */
export function mayAppoint(caller: Caller, role: Role, projectId: string | null): boolean {
  if (caller.kind === 'key') return scopesMay(caller.scopes, 'members:admin') && !atLeast(role, 'owner')
  const own = projectId === null ? caller.role : roleIn(caller, projectId)
  return own !== null && atLeast(own, role)
}

/** The role of a person in a project: that of the account, or a mightier one in the project itself. */
export function roleIn(caller: Caller, projectId: string): Role | null {
  return mightier(caller.role, caller.projectRoles.get(projectId) ?? null)
}
