/** The roles that a person can have in an account or in one project of it, the mightiest first. */
export const ROLES = ['owner', 'admin', 'developer', 'viewer'] as const
/** See ROLES. */
export type Role = (typeof ROLES)[number]

/**
 * Everything that can be done, and from which role on. This is the whole authorisation: each route of the gateway names
 * one of these actions, a person may do what the role allows, and an API key what its scopes name, which are these words.
 */
export const ACTIONS = {
  'project:read': { from: 'viewer', what: 'see the project and its settings' },
  'jobs:read': { from: 'viewer', what: 'see jobs, batches and their events' },
  'logs:read': { from: 'viewer', what: 'read and search logs' },
  'files:read': { from: 'viewer', what: 'list and download outputs' },
  'webhooks:read': { from: 'viewer', what: 'see webhooks and their deliveries' },
  'usage:read': { from: 'viewer', what: 'see limits, what is used of them, and costs; estimate' },
  'jobs:write': { from: 'developer', what: 'submit and cancel jobs and batches' },
  'files:write': { from: 'developer', what: 'upload files' },
  'webhooks:admin': { from: 'developer', what: 'make, change and delete webhooks, and send deliveries again' },
  'secrets:read': { from: 'developer', what: 'see the names of secrets' },
  'secrets:write': { from: 'developer', what: 'set and delete secrets' },
  'keys:read': { from: 'developer', what: 'see API keys' },
  'keys:admin': { from: 'developer', what: 'make, rotate and revoke API keys that may do no more than who does it' },
  'members:read': { from: 'viewer', what: 'see who may do what' },
  'project:admin': { from: 'admin', what: 'change the settings and limits of the project' },
  'members:admin': { from: 'admin', what: 'add, change and remove members' },
  'audit:read': { from: 'admin', what: 'read who did what' },
  'account:read': { from: 'viewer', what: 'see the account', account: true },
  'account:admin': { from: 'admin', what: 'make projects, and change the account', account: true },
  'account:own': { from: 'owner', what: 'delete projects', account: true },
} as const satisfies Record<string, { from: Role; what: string; account?: true }>

/** What can be done to what: `jobs:write`. */
export type Action = keyof typeof ACTIONS

/** What a key may be given: each action within a project. `*` stands for all of them. */
export const SCOPES = (Object.keys(ACTIONS) as Action[]).filter((action) => !('account' in ACTIONS[action]))

/** The scope of those who run the installation: nodes, the doctor, limits of accounts. No tenant can give it. */
export const OPERATOR = 'operator'

/** Whether this role includes that one. */
export function atLeast(role: Role, wanted: Role): boolean {
  return ROLES.indexOf(role) <= ROLES.indexOf(wanted)
}

/** The mightier one of two roles, where one may be none. */
export function mightier(a: Role | null, b: Role | null): Role | null {
  if (a === null || b === null) return a ?? b
  return atLeast(a, b) ? a : b
}

/** Whether a person with this role may do that. */
export function roleMay(role: Role | null, action: Action): boolean {
  return role !== null && atLeast(role, ACTIONS[action].from)
}

/** Whether a key with these scopes may do that: never what is beyond its project. */
export function scopesMay(scopes: readonly string[], action: Action): boolean {
  return !('account' in ACTIONS[action]) && (scopes.includes('*') || scopes.includes(action))
}

/** The scopes of a role, for a key that is to do all that its maker may. */
export function scopesOfRole(role: Role): Action[] {
  return SCOPES.filter((action) => roleMay(role, action))
}
