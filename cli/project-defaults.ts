import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { upward } from './profile.ts'
import { UsageError } from './usage-error.ts'

const TEXTS = ['project', 'runtime', 'cpu', 'memory', 'disk', 'timeout', 'retries'] as const

/** What a project may set for everyone who works in it: `.rgrid/config.yaml`, safe to commit. Options come before it. */
export interface ProjectDefaults extends Partial<Record<(typeof TEXTS)[number], string>> {
  network?: boolean
  /** Environment variables of every job. */
  env?: Readonly<Record<string, string>>
}

/** The project's defaults, from the nearest `.rgrid/config.yaml` upward; empty when there is none. Throws UsageErrors. */
export function findDefaults(cwd: string): ProjectDefaults {
  const path = upward(cwd)
    .map((folder) => join(folder, '.rgrid', 'config.yaml'))
    .find((candidate) => existsSync(candidate))
  if (path === undefined) return {}
  const values = readYaml(path)
  if (values === null) return {}
  if (!isMap(values)) throw new UsageError(`${path} must hold names and values`)
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, readValue(path, name, value)]))
}

function readValue(path: string, name: string, value: unknown): string | boolean | Record<string, string> {
  if ((TEXTS as readonly string[]).includes(name)) return readText(path, name, value)
  if (name === 'network') {
    if (typeof value !== 'boolean') throw new UsageError(`${path}: network must be true or false`)
    return value
  }
  if (name === 'env') {
    if (!isMap(value)) throw new UsageError(`${path}: env must hold names and values`)
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, readText(path, `env.${key}`, entry)]))
  }
  throw new UsageError(`${path}: "${name}" is not known; there are ${[...TEXTS, 'network', 'env'].join(', ')}`)
}

function readText(path: string, name: string, value: unknown): string {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') throw new UsageError(`${path}: ${name} must be a text or a number`)
  return String(value)
}

function readYaml(path: string): unknown {
  try {
    return parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${(error as Error).message}`)
  }
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
