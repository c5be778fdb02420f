/** One thing that is charged by the started hour. */
export interface Charge {
  kind: 'server' | 'address'
  id: number
  name: string
  serverType: string | null
  location: string
  fromMs: number
  /** Null: it is still there. */
  toMs: number | null
  hourMicrons: number
}

/** What Hetzner would charge: each started hour of each server and IPv4 address, in full, until it is deleted. */
export interface Bill {
  open(charge: Omit<Charge, 'fromMs' | 'toMs'>): void
  close(kind: Charge['kind'], id: number, atMs: number): void
  charges: readonly Charge[]
  /** Hours of a charge that were begun until now, or its end. */
  hours(charge: Charge): number
  totalMicrons(): number
}

const HOUR_MS = 3_600_000
/** Prices have ten decimals; a micron is six. */
const BELOW_A_MICRON = 10_000n

/** Microns of a price of this catalogue, all of which are whole ones. */
export function priceMicrons(text: string): number {
  const digits = BigInt(text.replace('.', ''))
  if (!/^\d+\.\d{10}$/.test(text) || digits % BELOW_A_MICRON !== 0n) throw new Error(`${text} is no price in whole microns`)
  return Number(digits / BELOW_A_MICRON)
}

/** Opens an empty one. */
export function createBill(now: () => number): Bill {
  const charges: Charge[] = []
  const hours = ({ fromMs, toMs }: Charge) => Math.max(1, Math.ceil(((toMs ?? now()) - fromMs) / HOUR_MS))
  return {
    open: (charge) => void charges.push({ ...charge, fromMs: now(), toMs: null }),
    close(kind, id, atMs) {
      for (const charge of charges) if (charge.kind === kind && charge.id === id && charge.toMs === null) charge.toMs = atMs
    },
    charges,
    hours,
    totalMicrons: () => charges.reduce((sum, charge) => sum + hours(charge) * charge.hourMicrons, 0),
  }
}
