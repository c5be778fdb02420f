import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { Assignment } from '#bus/messages/claim.ts'
import { FinishedReport } from '#bus/messages/report.ts'
import { maybe } from '#core/api.ts'
import { secretValues } from '#core/job/secret-values.ts'
import type { Cause } from '#core/job/state.ts'
import { writeDurably, writeWhole } from './files.ts'
import type { Workspace } from './steps/workspace.ts'

const cause = Type.Unsafe<Cause>(Type.String())

/**
 * How far an attempt has come, as a runner that starts anew finds it on disk. Each part is written before the step that
 * makes it true can be seen from outside.
 */
export const AttemptRecord = Type.Object({
  /** Of the machine when it was taken (Linux, /proc/sys/kernel/random/boot_id): no container outlives it. */
  bootId: Type.String(),
  assignment: Assignment,
  imageDigest: maybe(Type.String()),
  /** The files before the container was started, path and stamp; null: it was not started. */
  snapshot: maybe(Type.Array(Type.Tuple([Type.String(), Type.String()]))),
  /** Why its container is being stopped. */
  stopping: maybe(cause),
  startedAtMs: maybe(Type.Integer()),
  /** How it ended; its container may be gone. */
  end: maybe(
    Type.Object({
      cause,
      exitCode: maybe(Type.Integer()),
      transient: Type.Boolean(),
      nodeFault: Type.Optional(Type.Boolean()),
      message: maybe(Type.String()),
    }),
  ),
  /** What is said of it until the scheduler has acknowledged it. */
  report: maybe(FinishedReport),
  /** Whether it has; the log may still have to be archived. */
  acknowledged: Type.Boolean(),
})
/** See the schema of the same name. */
export type AttemptRecord = Static<typeof AttemptRecord>

/** What must not be seen in a log, a report or an error of this attempt. */
export function secretsOf({ spec, secrets }: Assignment): string[] {
  return secretValues(spec, [...Object.values(secrets?.env ?? {}), ...(secrets?.registry ? [secrets.registry.password] : [])])
}

/** Where an attempt is on its way through this node. */
export const PHASES = ['preparing', 'running', 'finishing'] as const

/** Of an attempt that this node has in its hands. */
export function attemptPhase(record: AttemptRecord): (typeof PHASES)[number] {
  if (record.end !== null || record.report !== null) return 'finishing'
  return record.startedAtMs === null ? 'preparing' : 'running'
}

const NAME = 'attempt.json'

/** The record of an attempt that begins. */
export function newRecord(assignment: Assignment): AttemptRecord {
  return {
    bootId: bootId(),
    assignment,
    imageDigest: null,
    snapshot: null,
    stopping: null,
    startedAtMs: null,
    end: null,
    report: null,
    acknowledged: false,
  }
}

/**
 * Writes it down. `durably` is for what must survive a power cut: the report. The rest need not, as no container does, and
 * making a note durable keeps the disk busy. From the end of the attempt on its secrets are not on the disk.
 */
export async function saveRecord(workspace: Workspace, record: AttemptRecord, durably = false): Promise<void> {
  const hasEnded = record.end !== null || record.report !== null
  const { secrets: _, ...assignment } = record.assignment
  await (durably ? writeDurably : writeWhole)(join(workspace.dir, NAME), JSON.stringify(hasEnded ? { ...record, assignment } : record))
}

/** The record of an attempt of an earlier run; undefined when it was not written down whole. */
export async function readRecord(workspace: Workspace): Promise<AttemptRecord | undefined> {
  const value: unknown = await readFile(join(workspace.dir, NAME), 'utf8').then(JSON.parse, () => undefined)
  return Value.Check(AttemptRecord, value) ? value : undefined
}

/** What tells this start of the machine from others. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}
