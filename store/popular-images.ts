import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { imageName } from '#core/image-name.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

const UseRow = row(Type.Object({ project_id: Type.String(), image: Type.String(), uses: Type.Number() }))
const CredentialRow = row(Type.Object({ project_id: Type.String(), server: Type.String() }))

/** Attempts that are looked at: the latest ones. */
const ATTEMPTS = 2000
/** An image that fewer attempts used is not popular. */
const MIN_USES = 3

/**
 * The images that most attempts of the last hours used, as references; at most `limit`. Only those that nobody needs a
 * credential for count: uses by a project that has one for the image's registry do not, nor do those that brought no image.
 */
export async function popularImages(db: Db, limit: number): Promise<string[]> {
  const uses = await db.any(sql.type(UseRow)`
    select j.project_id, j.spec ->> 'image' as image, count(*)::int as uses
    from (select job_id, image_digest, assigned_at from attempts order by id desc limit ${ATTEMPTS}) a join jobs j on j.id = a.job_id
    where a.image_digest is not null and a.assigned_at > now() - interval '6 hours' group by 1, 2`)
  const projectIds = [...new Set(uses.map((use) => use.project_id))]
  const credentials = await db.any(sql.type(CredentialRow)`
    select project_id, registry_server as server from secrets where kind = 'registry' and project_id = any(${sql.array(projectIds, 'text')})`)
  const sealed = new Set(credentials.map(({ project_id, server }) => `${project_id} ${server}`))
  const counts = new Map<string, number>()
  for (const { project_id, image, uses: count } of uses) {
    if (!sealed.has(`${project_id} ${imageName(image).registry}`)) counts.set(image, (counts.get(image) ?? 0) + count)
  }
  return [...counts]
    .filter(([, count]) => count >= MIN_USES)
    .sort(([a, more], [b, less]) => less - more || (a < b ? -1 : 1))
    .slice(0, limit)
    .map(([image]) => image)
}
