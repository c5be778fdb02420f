import { readFileSync, writeFileSync } from 'node:fs'
import type { TObject, TSchema } from '@sinclair/typebox'
import { ACTIONS, ROLES, roleMay } from '#core/access.ts'
import { BatchItem, BatchSpec } from '#core/batch.ts'
import { JobSpec } from '#core/job/spec.ts'
import { AccountLimitsChange } from '#core/limit-api.ts'
import { RUNTIMES } from '#core/runtimes.ts'
import { GatewayEnv } from '../gateway/config.ts'
import { RunnerEnv } from '../node-runner/config.ts'
import { SchedulerEnv } from '../scheduler/config.ts'

/**
 * Writes the tables of the documents out of the schemas, between `<!-- begin NAME -->` and
 * `<!-- end -->`. `node docs/generate.ts` writes; a unit test fails when what is committed is not what it writes.
 */
const TABLES: Readonly<Record<string, () => string>> = {
  'job-spec': () => fieldTable(JobSpec, ''),
  batch: () => fieldTable(BatchSpec, '', ['template', 'items']),
  'batch-item': () => fieldTable(BatchItem, ''),
  runtimes: runtimeTable,
  actions: actionTable,
  limits: () => limitTable(AccountLimitsChange),
  'gateway-env': () => envTable(GatewayEnv),
  'scheduler-env': () => envTable(SchedulerEnv),
  'runner-env': () => envTable(RunnerEnv),
}

/** The documents that hold tables. */
export const GENERATED_DOCS = ['JOB_SPEC.md', 'CONFIGURATION.md', 'ACCOUNTS.md'] as const

/** The text of a document with its tables made anew. */
export function regenerate(text: string): string {
  return text.replaceAll(/<!-- begin ([a-z-]+) -->\n[\s\S]*?<!-- end -->/g, (_, name: string) => {
    const table = TABLES[name]
    if (!table) throw new Error(`there is no table ${name}`)
    return `<!-- begin ${name} -->\n${table()}\n<!-- end -->`
  })
}

function fieldTable(schema: TObject, prefix: string, opaque: readonly string[] = []): string {
  return `| field | type | default | what |\n|---|---|---|---|\n${fieldRows(schema, prefix, opaque).join('\n')}`
}

function fieldRows(schema: TObject, prefix: string, opaque: readonly string[]): string[] {
  return Object.entries(schema.properties).flatMap(([name, field]) => {
    const path = `${prefix}${name}`
    const required = schema.required?.includes(name) ? ' (required)' : ''
    const row = `| \`${path}\`${required} | ${typeText(field)} | ${defaultText(field)} | ${cell(field.description ?? '')} |`
    const inner = opaque.includes(name) ? undefined : innerObject(field)
    return inner ? [row, ...fieldRows(inner.schema, `${path}${inner.list ? '[]' : ''}.`, [])] : [row]
  })
}

function innerObject(field: TSchema): { schema: TObject; list: boolean } | undefined {
  if (field.type === 'object' && field.properties) return { schema: field as TObject, list: false }
  if (field.type === 'array' && field.items?.properties) return { schema: field.items as TObject, list: true }
  const branch = (field.anyOf as TSchema[] | undefined)?.find((candidate) => candidate.type !== 'null')
  return branch ? innerObject(branch) : undefined
}

function typeText(field: TSchema): string {
  if (field.const !== undefined) return `\`${field.const}\``
  if (field.anyOf) return (field.anyOf as TSchema[]).map(typeText).join(' or ')
  if (field.type === 'array') return `list of ${typeText(field.items)}`
  const range = field.minimum !== undefined && field.maximum !== undefined ? ` ${field.minimum} … ${field.maximum}` : ''
  return `${field.patternProperties ? 'map' : field.type}${range}`
}

function defaultText(field: TSchema): string {
  return field.default === undefined ? '' : `\`${JSON.stringify(field.default)}\``
}

function envTable(schema: TObject): string {
  const rows = Object.entries(schema.properties).map(([name, field]) => {
    const fallback = field.default !== undefined ? `\`${field.default}\`` : schema.required?.includes(name) ? 'required' : ''
    return `| \`${name}\` | ${fallback} | ${cell(field.description ?? '')} |`
  })
  return `| variable | default | what |\n|---|---|---|\n${rows.join('\n')}`
}

function runtimeTable(): string {
  const rows = Object.entries(RUNTIMES).map(
    ([name, runtime]) => `| \`${name}\` | \`${runtime.image}\` | \`${[...runtime.interpreter, runtime.codeFile].join(' ')}\` |`,
  )
  return `| name | image | inline code runs as |\n|---|---|---|\n${rows.join('\n')}`
}

function actionTable(): string {
  const rows = Object.entries(ACTIONS).map(([name, { what, ...action }]) => {
    const roles = ROLES.map((role) => (roleMay(role, name as keyof typeof ACTIONS) ? '✓' : ''))
    return `| \`${name}\` | ${what} | ${roles.join(' | ')} | ${'account' in action ? '' : '✓'} |`
  })
  return `| action | what | ${ROLES.join(' | ')} | scope of keys |\n|---|---|${ROLES.map(() => '---|').join('')}---|\n${rows.join('\n')}`
}

function limitTable(schema: TObject): string {
  const rows = Object.entries(schema.properties).map(([name, field]) => `| \`${name}\` | ${cell(describe(field))} |`)
  return `| limit | what |\n|---|---|\n${rows.join('\n')}`
}

function describe(field: TSchema): string {
  return field.description ?? (field.anyOf as TSchema[] | undefined)?.map(describe).find((text) => text !== '') ?? ''
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

if (import.meta.main) {
  for (const name of GENERATED_DOCS) {
    const path = new URL(name, import.meta.url)
    writeFileSync(path, regenerate(readFileSync(path, 'utf8')))
  }
}
