import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startServices } from '../harness/local-services.ts'

/** Starts Postgres, NATS and S3, runs the work, stops them, and ends the process. */
export async function withServices(work: () => Promise<void>): Promise<never> {
  const stateDir = mkdtempSync(join(tmpdir(), 'rgrid-bench-'))
  const services = await startServices(stateDir)
  if (!services) process.exit(1)
  Object.assign(process.env, services.env)
  try {
    await work()
  } finally {
    await services.stop()
    rmSync(stateDir, { recursive: true, force: true })
  }
  process.exit(0)
}
