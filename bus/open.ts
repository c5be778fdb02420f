import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { untilReady } from '#core/service/wait.ts'
import { type Bus, connectService } from './bus.ts'
import { ensureStreams, type LogStreamLimits } from './streams.ts'

/**
 * Connects one of our services and waits until NATS answers and has the streams. Throws an UnusableError when waiting is
 * no use: a credential that the server does not accept, or that is not there. One process of them sets `logLimits`.
 */
export async function openBus(
  options: { name: string; url: string; credsFile: string; log: Log; logLimits?: LogStreamLimits },
  signal: AbortSignal,
): Promise<Bus> {
  const bus = await untilReady('NATS', options.log, signal, () => connectService(options))
  const ensure = () => untilReady('NATS', options.log, signal, () => ensureStreams(bus, options.logLimits))
  await ensure()
  // A server that lost its disk comes back without them.
  bus.onReconnect(() => {
    ensure().catch((error: unknown) => {
      if (!signal.aborted && !bus.connection.isClosed()) options.log.warn({ error: errorText(error) }, 'the streams could not be looked after')
    })
  })
  return bus
}
