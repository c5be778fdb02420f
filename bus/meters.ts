import type { Metrics } from '#core/service/metrics.ts'
import type { Bus } from './bus.ts'

/** Measures a process's connection to the bus. */
export function meterBus(metrics: Metrics, bus: Bus): void {
  metrics.gauge('rgrid_bus_connected', 'Whether this process is connected to NATS', () => Number(bus.isConnected()))
  metrics.total('rgrid_bus_bad_messages_total', 'Messages dropped because they did not fit their schema, or asked for an answer elsewhere', bus.badMessages)
}
