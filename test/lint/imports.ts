import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'

/**
 * The import table of docs/ARCHITECTURE.md, checked. That node-runner never imports store is a rule of security: a
 * machine that runs strangers' code must not even hold the code that speaks to the database.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  bus: ['core'],
  store: ['core'],
  gateway: ['core', 'bus', 'store'],
  scheduler: ['core', 'bus', 'store'],
  'node-runner': ['core', 'bus'],
  cli: ['core'],
  infra: [],
}

/** Libraries that only one folder may use, so that it alone knows the technology. */
const OWNED_LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  nats: ['bus'],
  '@nats-io/jwt': ['bus'],
  '@nats-io/nkeys': ['bus'],
  pg: ['store'],
  slonik: ['store'],
  '@slonik/pg-driver': ['store'],
  'node-pg-migrate': ['store'],
  '@aws-sdk/client-s3': ['store'],
  '@aws-sdk/s3-request-presigner': ['store'],
  dockerode: ['node-runner', 'infra'],
  fastify: ['gateway'],
  'prom-client': ['core'],
  pino: ['core'],
  '@opentelemetry/api': ['core'],
  '@opentelemetry/exporter-trace-otlp-http': ['core'],
  '@opentelemetry/resources': ['core'],
  '@opentelemetry/sdk-trace': ['core'],
  'eventsource-parser': ['cli'],
}

const MAX_LINES = 250
const BANNED_NAMES = /(^|\/)(utils?|helpers?|common|types|index)\.ts$/

const root = join(import.meta.dirname, '../..')
const faults: string[] = []
for (const folder of Object.keys(MAY_IMPORT)) {
  for (const file of globSync(`${folder}/**/*.ts`, { cwd: root })) checkFile(folder, file)
}
for (const fault of faults) process.stderr.write(`${fault}\n`)
process.stdout.write(`imports: ${faults.length} faults\n`)
process.exitCode = faults.length === 0 ? 0 : 1

function checkFile(folder: string, file: string): void {
  const text = readFileSync(join(root, file), 'utf8')
  const lines = text.split('\n').length - 1
  if (lines > MAX_LINES) faults.push(`${file}: ${lines} lines; one file is one thing, at most ${MAX_LINES}`)
  if (BANNED_NAMES.test(file)) faults.push(`${file}: the name says nothing about what is in it`)
  if (/^export default /m.test(text)) faults.push(`${file}: has a default export`)
  for (const match of text.matchAll(/(?:from|import\()\s*'([^']+)'|^import '([^']+)'/gm)) checkImport(folder, file, match[1] ?? match[2] ?? '')
}

function checkImport(folder: string, file: string, specifier: string): void {
  if (specifier.startsWith('node:')) return
  const target = specifier.startsWith('.')
    ? relative(root, normalize(join(root, dirname(file), specifier))).split('/')[0]
    : specifier.startsWith('#')
      ? specifier.slice(1).split('/')[0]
      : undefined
  if (target === undefined) {
    const library = specifier
      .split('/')
      .slice(0, specifier.startsWith('@') ? 2 : 1)
      .join('/')
    const owners = OWNED_LIBRARIES[library]
    if (owners && !owners.includes(folder)) faults.push(`${file}: ${library} belongs to ${owners.join(' and ')}`)
    return
  }
  if (target !== folder && !MAY_IMPORT[folder]?.includes(target)) faults.push(`${file}: ${folder} may not import ${specifier}`)
  else if (target !== folder && specifier.startsWith('.')) faults.push(`${file}: import ${specifier} as #${target}/…`)
}
