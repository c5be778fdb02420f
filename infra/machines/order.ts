import { type Static, Type } from '@sinclair/typebox'
import { parse } from 'yaml'

const Name = Type.String({ pattern: '^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$' })

/** What is asked for, as the scheduler's `cloud/local.ts` sends it. */
export const MachineOrder = Type.Object(
  {
    name: Name,
    nodeId: Type.String({ pattern: '^node_[A-Za-z0-9]{1,64}$' }),
    serverType: Name,
    location: Name,
    userData: Type.String({ maxLength: 32 * 1024 }),
  },
  { additionalProperties: false },
)
/** See the schema of the same name. */
export type MachineOrder = Static<typeof MachineOrder>

const NODE_ENV_PATH = '/etc/rgrid/node.env'
const VARIABLE = /^(RGRID_[A-Z_]+)=(.*)$/

/** The runner's settings out of the user data of a machine, as cloud-init and `docker run --env-file` would read them; undefined when it holds none. */
export function nodeSettings(userData: string): Record<string, string> | undefined {
  if (!userData.startsWith('#cloud-config\n')) return undefined
  const files = (parse(userData) as { write_files?: unknown } | null)?.write_files
  const content = Array.isArray(files) ? (files as { path?: unknown; content?: unknown }[]).find((file) => file.path === NODE_ENV_PATH)?.content : undefined
  if (typeof content !== 'string') return undefined
  return Object.fromEntries(content.split('\n').flatMap((line) => [VARIABLE.exec(line)?.slice(1, 3) ?? []].filter((pair) => pair.length === 2)))
}
