import { errorText } from '#core/errors.ts'
import { untilReady } from '#core/service/wait.ts'
import { type Bus, connectNode, connectService, type NodeOptions, type ServiceOptions } from './bus.ts'
import { ensureStreams, type LogStreamLimits } from './streams.ts'
import { tlsOptions } from './tls.ts'

/**
 * Connects one of our services and waits until NATS answers and has the streams. Throws an UnusableError when waiting is
 * no use: a credential that the server does not accept, or that is not there. One process of them sets `logLimits`.
 */
export async function openBus(options: ServiceOptions & { logLimits?: LogStreamLimits }, signal: AbortSignal): Promise<Bus> {
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

/**
 * Connects a node and waits until NATS accepts it, whatever is in the way: who operates NATS mends it, and a node has nobody who
 * looks. Says each new fault once. Throws a ConfigError at once for an address that it must not speak to.
 */
export async function openNodeBus(options: NodeOptions, signal: AbortSignal): Promise<Bus> {
  tlsOptions(options.url, options.ca, 'RGRID_NATS_NODE_URL of the gateway')
  return untilReady(
    'NATS',
    options.log,
    signal,
    () => connectNode(options),
    () => true,
  )
}
