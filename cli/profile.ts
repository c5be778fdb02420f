import { existsSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { UsageError } from './usage-error.ts'

/** Where the API is and with which key, or token of a person. */
export interface Profile {
  apiUrl: string
  apiKey: string
  /** Of a token: the id of the account that it is to speak for. */
  account?: string
  /** Where it was found, for messages. */
  source: string
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
  if (apiUrl && apiKey) return { apiUrl: checkUrl(apiUrl, 'RGRID_API_URL'), apiKey, source: 'the environment' }
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
  // As ssh does with its keys: said only, it would stay so.
  if ((statSync(path).mode & 0o077) !== 0) throw new UsageError(`${path} can be read by others; run: chmod 600 ${path}`)
  const { apiUrl, apiKey } = parseCredentials(readFileSync(path, 'utf8'))
  if (!apiUrl || !apiKey) throw new UsageError(`${path} is not complete; run "rgrid init" again`)
  return { apiUrl: checkUrl(apiUrl, path), apiKey, source: path }
}

function parseCredentials(text: string): Partial<Profile> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    // Said by the caller, as for any file that is not complete.
    return {}
  }
}

function readLocal(at: Surroundings): Profile | undefined {
  const folders = at.env.RGRID_STATE_DIR ? [at.env.RGRID_STATE_DIR] : [...upward(at.cwd), at.checkout].map((folder) => join(folder, '.rgrid'))
  for (const folder of folders) {
    const path = join(folder, 'env')
    if (!existsSync(path)) continue
    const values = new Map([...readFileSync(path, 'utf8').matchAll(/^export (\w+)='([^']*)'$/gm)].map((match) => [match[1], match[2]]))
    const [apiUrl, apiKey] = [values.get('RGRID_API_URL'), values.get('RGRID_API_KEY')]
    if (apiUrl && apiKey) return { apiUrl: checkUrl(apiUrl, path), apiKey, source: path }
  }
  return undefined
}

/** A folder and all above it, the nearest first. */
export function upward(folder: string): string[] {
  const parent = dirname(folder)
  return parent === folder ? [folder] : [folder, ...upward(parent)]
}

/** The address without slashes at its end. Throws a UsageError when it is none, naming where it came from. */
export function checkUrl(url: string, source: string): string {
  if (!URL.canParse(url) || !/^https?:\/\//.test(url)) throw new UsageError(`"${url}" (from ${source}) is no address such as https://rgrid.example.com`)
  return url.replace(/\/+$/, '')
}
