import { errorText } from '../errors.ts'
import { ConfigError } from './config.ts'
import type { Log } from './log.ts'
import { after } from './time.ts'
import { StoppedError, UnusableError } from './wait.ts'

/** The one contract of everything that is started and stopped. `stop` is idempotent and waits until it is over. */
export interface Service {
  name: string
  start(): Promise<void>
  stop(): Promise<void>
}

/** The oldest Node that can run the project. */
export const MIN_NODE_MAJOR = 24

/** Ends the process with a sentence when Node is too old: an old one fails later, and less clearly. */
export function requireNode(): void {
  if (Number(process.versions.node.split('.')[0]) >= MIN_NODE_MAJOR) return
  process.stderr.write(
    `RGrid needs Node ${MIN_NODE_MAJOR} or newer, this is ${process.versions.node}. Run "npm run setup" and start it with node_modules/.bin/node.\n`,
  )
  process.exit(1)
}

/**
 * Runs a process: starts the services in order, and on SIGTERM or SIGINT stops them in reverse. A second signal, or
 * `stopTimeoutMs`, ends it at once with code 1. Resolves when everything has stopped.
 */
export async function runServices(log: Log, services: readonly Service[], stopTimeoutMs: number): Promise<void> {
  const started: Service[] = []
  const signalled = Promise.withResolvers<string>()
  const onSignal = (signal: string) => {
    if (started.length === 0) process.exit(1)
    log.info({ signal }, 'stopping')
    signalled.resolve(signal)
    process.once('SIGTERM', () => process.exit(1))
    process.once('SIGINT', () => process.exit(1))
  }
  process.once('SIGTERM', onSignal)
  process.once('SIGINT', onSignal)
  process.on('unhandledRejection', (error) => {
    log.fatal({ error: errorText(error), stack: error instanceof Error ? error.stack : undefined }, 'unhandled rejection')
    process.exit(1)
  })
  try {
    for (const service of services) {
      started.push(service)
      await service.start()
    }
    log.info({ services: services.map((service) => service.name) }, 'started')
    await signalled.promise
  } finally {
    const giveUp = after(stopTimeoutMs, () => {
      log.error({ stopTimeoutMs }, 'stopping took too long; exiting now')
      process.exit(1)
    })
    for (const service of started.reverse()) {
      await service.stop().catch((error: unknown) => log.warn({ service: service.name, error: errorText(error) }, 'a service did not stop cleanly'))
    }
    giveUp()
    log.info('stopped')
  }
}

/** Runs an entry point: prints what went wrong in a sentence, not a stack, when its configuration is at fault, or what it stands on. */
export async function runMain(main: () => Promise<void>): Promise<void> {
  requireNode()
  try {
    await main()
    process.exit()
  } catch (error) {
    if (error instanceof StoppedError) process.exit(0)
    const text =
      error instanceof ConfigError || error instanceof UnusableError ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)
    process.stderr.write(`${text}\n`)
    process.exit(1)
  }
}
