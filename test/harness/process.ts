import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { TEST_SECRET_KEYS } from './secret-keys.ts'
import { testServices } from './services.ts'

const ROOT = join(import.meta.dirname, '../..')

/** One of our processes, as it is started for real. */
export interface TestProcess {
  pid: number | undefined
  /** Resolves with the first line of the log that fits, also one that came already; rejects when the process ends without. */
  logged(fits: RegExp): Promise<string>
  /** Everything it has written, on both outputs. */
  output(): string
  /** Its exit code; null when a signal ended it. */
  ended: Promise<number | null>
  /** Sends SIGTERM and waits for the end; returns the exit code. Does nothing when it has ended. */
  stop(): Promise<number | null>
  /** Ends it at once, as a crash would, and waits for that. */
  kill(): Promise<number | null>
}

/** Starts one on the test servers; `env` changes its variables. A gateway refuses nothing for being busy. Call `stop` in the end, or its test file does not end. */
export function startProcess(name: 'gateway' | 'scheduler' | 'node-runner', env: Record<string, string>): TestProcess {
  const services = testServices()
  const trust = (file: string) => join(services.natsTrustDir, file)
  const child = spawn(process.execPath, [`${name}/main.ts`], {
    cwd: ROOT,
    env: {
      PATH: process.env.PATH,
      RGRID_NATS_URL: services.natsUrl,
      RGRID_NATS_CREDS_FILE: trust(`${name}.creds`),
      RGRID_NATS_ACCOUNT_FILE: trust('account.pub'),
      RGRID_NATS_SIGNING_SEED_FILE: trust('signing.seed'),
      RGRID_S3_URL: services.s3.url,
      RGRID_S3_REGION: services.s3.region,
      RGRID_S3_BUCKET: services.s3.bucket,
      RGRID_S3_ACCESS_KEY: services.s3.accessKey,
      RGRID_S3_SECRET_KEY: services.s3.secretKey,
      RGRID_SECRET_KEYS: TEST_SECRET_KEYS,
      RGRID_MAX_LOOP_DELAY_MS: '0',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  const waiting = new Set<() => void>()
  const { promise: ended, resolve } = Promise.withResolvers<number | null>()
  let over = false
  const look = () => {
    for (const again of waiting) again()
  }
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      look()
    })
  }
  child.on('close', (code) => {
    over = true
    look()
    resolve(code)
  })
  return {
    pid: child.pid,
    ended,
    output: () => lines.join('\n'),
    logged(fits) {
      const { promise, resolve, reject } = Promise.withResolvers<string>()
      const again = () => {
        const found = lines.find((line) => fits.test(line))
        if (found === undefined && !over) return
        waiting.delete(again)
        if (found === undefined) reject(new Error(`${name} ended without ${fits}:\n${lines.join('\n')}`))
        else resolve(found)
      }
      waiting.add(again)
      again()
      return promise
    },
    async stop() {
      if (!over) child.kill('SIGTERM')
      return ended
    },
    async kill() {
      if (!over) child.kill('SIGKILL')
      return ended
    },
  }
}
