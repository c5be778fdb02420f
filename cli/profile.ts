import { existsSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { parse } from 'yaml'
import { UsageError } from './usage-error.ts'

/** Where the API is and with which key. */
export interface Profile {
  apiUrl: string
  apiKey: string
  /** Where it was found, for messages. */
  source: string
}

/** What a project may set for everyone who works in it: `.rgrid/config.yaml`, safe to commit. */
export interface ProjectDefaults {
  project?: string
  runtime?: string
  cpu?: string
  memory?: string
  disk?: string
  timeout?: string
}

/** What discovery looks at. */
export interface Surroundings {
  env: NodeJS.ProcessEnv
  cwd: string
  home: string
  /** The checkout this command line is part of. */
  checkout: string
}

/** The surroundings of this process. */
export function surroundings(): Surroundings {
  return { env: process.env, cwd: process.cwd(), home: homedir(), checkout: join(import.meta.dirname, '..') }
}

/** Where `rgrid init` keeps the credentials. */
export function credentialsPath(home: string): string {
  return join(home, '.rgrid', 'credentials')
}

/**
 * Finds the API: the environment, then `~/.rgrid/credentials`, then the platform that `npm start` runs (`.rgrid/env`
 * upward from here, or in the checkout of this command line). Throws a UsageError that says what to do.
 */
export function findProfile(at: Surroundings): Profile {
  const { RGRID_API_URL: apiUrl, RGRID_API_KEY: apiKey } = at.env
  if (apiUrl && apiKey) return { apiUrl: trim(apiUrl), apiKey, source: 'the environment' }
  if (apiUrl || apiKey) throw new UsageError(`RGRID_API_URL and RGRID_API_KEY go together, and only ${apiUrl ? 'the first' : 'the second'} is set`)
  return readCredentials(credentialsPath(at.home)) ?? readLocal(at) ?? noProfile()
}

function noProfile(): never {
  throw new UsageError(
    'there is no RGrid to talk to yet. Run "npm start" in the checkout for one on this machine, or "rgrid init" for another, or set RGRID_API_URL and RGRID_API_KEY',
  )
}

function readCredentials(path: string): Profile | undefined {
  if (!existsSync(path)) return undefined
  if ((statSync(path).mode & 0o077) !== 0) throw new UsageError(`${path} can be read by others; run: chmod 600 ${path}`)
  const { apiUrl, apiKey } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Profile>
  if (!apiUrl || !apiKey) throw new UsageError(`${path} is not complete; run "rgrid init" again`)
  return { apiUrl: trim(apiUrl), apiKey, source: path }
}

function readLocal(at: Surroundings): Profile | undefined {
  const folders = at.env.RGRID_STATE_DIR ? [at.env.RGRID_STATE_DIR] : [...upward(at.cwd), at.checkout].map((folder) => join(folder, '.rgrid'))
  for (const folder of folders) {
    const path = join(folder, 'env')
    if (!existsSync(path)) continue
    const values = new Map([...readFileSync(path, 'utf8').matchAll(/^export (\w+)='([^']*)'$/gm)].map((match) => [match[1], match[2]]))
    const [apiUrl, apiKey] = [values.get('RGRID_API_URL'), values.get('RGRID_API_KEY')]
    if (apiUrl && apiKey) return { apiUrl: trim(apiUrl), apiKey, source: path }
  }
  return undefined
}

/** The project's defaults, from the nearest `.rgrid/config.yaml` upward; empty when there is none. */
export function findDefaults(cwd: string): ProjectDefaults {
  for (const folder of upward(cwd)) {
    const path = join(folder, '.rgrid', 'config.yaml')
    if (!existsSync(path)) continue
    const values: unknown = parse(readFileSync(path, 'utf8'))
    if (values === null) return {}
    if (typeof values !== 'object') throw new UsageError(`${path} must hold names and values`)
    const known = ['project', 'runtime', 'cpu', 'memory', 'disk', 'timeout']
    const unknown = Object.keys(values).filter((name) => !known.includes(name))
    if (unknown.length > 0) throw new UsageError(`${path}: "${unknown[0]}" is not known; there are ${known.join(', ')}`)
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]))
  }
  return {}
}

function upward(folder: string): string[] {
  const parent = dirname(folder)
  return parent === folder ? [folder] : [folder, ...upward(parent)]
}

function trim(url: string): string {
  return url.replace(/\/+$/, '')
}
