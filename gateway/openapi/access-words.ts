import { ACTIONS, ROLES } from '#core/access.ts'
import type { Access } from '../access/access.ts'

/** Who may use a route, in words for people. */
export function accessWords(access: Access): string {
  switch (access.where) {
    case 'open':
      return '**Access:** needs no credential.'
    case 'caller':
      return '**Access:** whoever has a valid credential.'
    case 'operator':
      return '**Access:** operators: an API key with the scope `operator`.'
    case 'account':
      return `**Access:** people with the role ${rolesOf(access.action)} in the account (\`${access.action}\`: ${ACTIONS[access.action].what}). No API key: those are for one project.`
    default: {
      const roles = `people with the role ${rolesOf(access.action)}`
      const keys = 'account' in ACTIONS[access.action] ? 'No API key.' : `API keys with the scope \`${access.action}\` (${ACTIONS[access.action].what}).`
      return `**Access:** ${roles}. ${keys}`
    }
  }
}

/** The same for programs. */
export function accessExtension(access: Access): { where: string; scope?: string; roles?: string[] } {
  const where = access.where === 'slug' || access.where === 'query' || access.where === 'object' ? 'project' : access.where
  return 'action' in access ? { where, scope: access.action, roles: rolesFrom(access.action) } : { where }
}

function rolesFrom(action: keyof typeof ACTIONS): string[] {
  return ROLES.slice(0, ROLES.indexOf(ACTIONS[action].from) + 1)
}

function rolesOf(action: keyof typeof ACTIONS): string {
  return rolesFrom(action)
    .map((role) => `\`${role}\``)
    .join(', ')
}
