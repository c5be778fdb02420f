import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { findDead } from '../processes.ts'
import { elapsedSeconds, say, step } from '../progress.ts'
import type { Settings } from '../settings.ts'
import { start } from '../start.ts'
import { stop } from '../stop.ts'
import { checkBatch } from './batch.ts'
import { openByHand } from './by-hand.ts'
import { type Check, printChecks } from './checks.ts'
import { createCli } from './cli.ts'
import { checkScripts } from './scripts.ts'

/**
 * Starts the platform, runs the sample batch and single scripts as a user would, compares every result with the same
 * commands run by hand, and stops what it started. Returns the exit code: 0 only if every check held.
 */
export async function runDemo(settings: Settings, interrupt: AbortSignal, keep: boolean): Promise<number> {
  const wasUp = findDead(settings) === undefined
  try {
    await start(settings, interrupt)
    const folder = join(settings.stateDir, 'demo')
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    const rgrid = createCli(settings, interrupt)
    const byHand = await openByHand(settings, interrupt)
    const checks: Check[] = []
    await step('sample batch', () => checkBatch(settings, join(folder, 'thumbnails'), rgrid, byHand, checks))
    await step('single scripts', () => checkScripts(settings, join(folder, 'scripts'), rgrid, byHand, checks))
    return printChecks(checks) ? 0 : 1
  } finally {
    if (keep || wasUp) say('the platform keeps running; end it with: npm stop')
    else await step('stopping', () => stop(settings))
    say(`the demo took ${elapsedSeconds().toFixed(0)} s`)
  }
}
