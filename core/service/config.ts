import { readFileSync } from 'node:fs'
import { type Static, type TObject, type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { errorText } from '../errors.ts'

/** The environment does not fit a process's schema; the message lists every fault at once. */
export class ConfigError extends Error {
  constructor(faults: readonly string[]) {
    super(`The configuration is not usable:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`)
    this.name = 'ConfigError'
  }
}

/**
 * Reads the variables that `schema` names (its keys are the environment's names), once. Any of them may be given
 * as `<NAME>_FILE`, the path of a file that holds the value; an empty value counts as absent. Defaults come from the
 * schema. Throws a ConfigError with all faults; the result is frozen. Values never appear in messages.
 */
export function readConfig<T extends TObject>(schema: T, env: NodeJS.ProcessEnv = process.env): Readonly<Static<T>> {
  const faults: string[] = []
  const values: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(schema.properties)) {
    const text = readVariable(name, env, faults)
    if (text !== undefined) values[name] = Value.Convert(field, text)
    else if (field.default !== undefined) values[name] = field.default
  }
  for (const [name, field] of Object.entries(schema.properties)) {
    const required = schema.required?.includes(name) ?? false
    if (values[name] === undefined) {
      if (required && !faults.some((fault) => fault.startsWith(name))) faults.push(`${name} is not set: ${field.description ?? 'required'}`)
    } else if (!Value.Check(field, values[name])) faults.push(`${name} is not usable: ${expectation(field)}`)
  }
  if (faults.length > 0) throw new ConfigError(faults)
  return Object.freeze(values as Static<T>)
}

/** Where a process serves its metrics; part of the schema of each that has any. */
export const MetricsEnv = {
  RGRID_METRICS_LISTEN: Type.Optional(
    Type.String({ pattern: '^.+:\\d+$', description: 'address and port for GET /metrics, such as 127.0.0.1:9470; without it there are no metrics' }),
  ),
}

/** `address:port` taken apart; an IPv6 address may stand in brackets. */
export function listenAddress(text: string): { host: string; port: number } {
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(text.slice(at + 1)) }
}

function readVariable(name: string, env: NodeJS.ProcessEnv, faults: string[]): string | undefined {
  const direct = env[name]
  if (direct) return direct
  const path = env[`${name}_FILE`]
  if (!path) return undefined
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    faults.push(`${name}_FILE cannot be read: ${errorText(error)}`)
    return undefined
  }
}

function expectation(field: TSchema): string {
  const range = field.minimum !== undefined ? ` from ${field.minimum}${field.maximum !== undefined ? ` to ${field.maximum}` : ''}` : ''
  return `it must be a ${field.type ?? 'listed value'}${range}${field.description ? ` (${field.description})` : ''}`
}
