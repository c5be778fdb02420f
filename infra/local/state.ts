import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Settings } from './settings.ts'

/** The folders of the state folder; all mode 700. */
const FOLDERS = ['logs', 'run', 'secrets', 'nats', 'data', 'node'] as const

/** Makes the state folder's own folders. */
export function makeFolders(settings: Settings): void {
  for (const folder of FOLDERS) mkdirSync(join(settings.stateDir, folder), { recursive: true, mode: 0o700 })
}

/** Where a process of this instance logs to. */
export function logPath(settings: Settings, name: string): string {
  return join(settings.stateDir, 'logs', `${name}.log`)
}

/** Where the operator, account and credentials of NATS are. */
export function trustDir(settings: Settings): string {
  return settings.given.nats?.trustDir ?? join(settings.stateDir, 'nats', 'trust')
}

/** Writes a whole file or none: a reader never sees half of it. Only the owner may read it, unless `mode` says otherwise. */
export function writeWhole(path: string, content: string, mode = 0o600): void {
  const part = `${path}.part`
  writeFileSync(part, content, { mode })
  renameSync(part, path)
}

/** The file's text, or undefined when it is not there. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
