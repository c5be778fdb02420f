import { sql } from 'slonik'
import type { DatabasePool } from './pool.ts'

/** A provider of machines, and how it is paid: see `Cloud` of the scheduler. */
export interface Seller {
  provider: string
  billing: 'hour' | 'second'
}

/** What an hour of a kind of machine costs. */
export interface Priced {
  serverType: string
  location: string
  /** null: not known; the last price holds. */
  hourMicrons: number | null
}

/**
 * Writes down what things cost now; call it with every list of offers. A price that is the one that holds changes nothing, another one
 * ends it. Kinds that are not in the list keep their last price, as machines of them may still be there.
 */
export async function recordPrices(db: DatabasePool, seller: Seller, offers: readonly Priced[]): Promise<void> {
  const priced = offers.filter((offer) => offer.hourMicrons !== null)
  if (priced.length === 0) return
  const list = JSON.stringify(priced.map(({ serverType, location, hourMicrons }) => ({ serverType, location, hourMicrons })))
  const offered = sql.fragment`
    select distinct on (o."serverType", o.location) o."serverType" as server_type, o.location, o."hourMicrons" as hour_microns
    from jsonb_to_recordset(${list}::jsonb) as o("serverType" text, location text, "hourMicrons" bigint)`
  await db.transaction(async (tx) => {
    await tx.query(sql.unsafe`
      update prices p set valid_until = now() from (${offered}) o
      where p.provider = ${seller.provider} and p.server_type = o.server_type and p.location = o.location and p.valid_until is null
        and (p.hour_microns, p.billing) is distinct from (o.hour_microns, ${seller.billing})`)
    await tx.query(sql.unsafe`
      insert into prices (provider, server_type, location, hour_microns, billing)
      select ${seller.provider}, o.server_type, o.location, o.hour_microns, ${seller.billing} from (${offered}) o
      where not exists (
        select 1 from prices p
        where p.provider = ${seller.provider} and p.server_type = o.server_type and p.location = o.location and p.valid_until is null)
      on conflict do nothing`)
  })
}
