import { sql } from 'slonik'
import type { Tx } from './pool.ts'

/**
 * Adds up what jobs cost that go, by hour, batch and labels: what an hour's shares come to stays what it was. Everything that is
 * told by day, project, batch or label stays true; only the jobs themselves are no longer told apart.
 */
export async function foldCosts(tx: Tx, jobIds: readonly string[]): Promise<void> {
  await tx.query(sql.unsafe`
    with gone as (
      delete from attempt_costs where job_id = any(${sql.array([...jobIds], 'text')}) returning *
    )
    insert into attempt_costs (node_id, hour, day, account_id, project_id, batch_id, labels, attempts, slot_ms, cost_microns, charge_microns)
    select node_id, hour, day, account_id, project_id, batch_id, labels, sum(attempts), sum(slot_ms), sum(cost_microns), sum(charge_microns)
    from gone group by node_id, hour, day, account_id, project_id, batch_id, labels`)
}
