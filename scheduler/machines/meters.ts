import type { Metrics } from '#core/service/metrics.ts'
import type { MachineMeters } from './deps.ts'

const BOOT_SECONDS: readonly number[] = [5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600]

/** Counts what happens to machines. */
export function createMachineMeters(metrics: Metrics): MachineMeters {
  const bought = metrics.counter('rgrid_machines_bought_total', 'Machines that the provider gave')
  const deleted = metrics.counter('rgrid_machines_deleted_total', 'Machines that the provider has no more')
  const swept = metrics.counter('rgrid_machines_swept_total', 'What belonged to no machine of ours and was deleted at the provider', ['kind'])
  const boot = metrics.histogram('rgrid_machine_boot_seconds', 'From the order of a machine to its enrolment', [], BOOT_SECONDS)
  for (const kind of ['server', 'address']) swept.inc({ kind }, 0)
  return {
    bought: () => bought.inc(),
    deleted: () => deleted.inc(),
    booted: (seconds) => boot.observe(seconds),
    swept: (kind) => swept.inc({ kind }),
  }
}
