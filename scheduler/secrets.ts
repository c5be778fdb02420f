import type { DeliveredSecrets } from '#bus/messages/claim.ts'
import { errorText } from '#core/errors.ts'
import { imageName } from '#core/image-name.ts'
import type { Sealer } from '#core/sealer.ts'
import type { Log } from '#core/service/log.ts'
import type { ClaimedJob } from '#store/claims.ts'
import type { Db } from '#store/pool.ts'
import { secretContext } from '#store/project-secrets.ts'
import { type SealedSecret, takeSecrets } from '#store/secret-delivery.ts'

/** What Linux takes as the environment of one process is 2 MiB; what a message of the bus takes, with the rest of the job, half of that. */
const MAX_BYTES = 256 * 1024

/** Opens what claimed jobs are to get. Held nowhere: it goes into the answer to the claim, and from there to the container. */
export async function openSecrets(db: Db, sealer: Pick<Sealer, 'open'>, jobs: readonly ClaimedJob[], log: Log): Promise<Map<string, DeliveredSecrets>> {
  const wanted = jobs.map(({ projectId, spec }) => ({ projectId, names: Object.values(spec.secretEnv ?? {}), server: imageName(spec.image).registry }))
  const found = await takeSecrets(db, wanted)
  return new Map(
    jobs.map((job) => [
      job.attemptId,
      openFor(
        job,
        found.filter((secret) => secret.projectId === job.projectId),
        sealer,
        log,
      ),
    ]),
  )
}

function openFor(job: ClaimedJob, found: readonly SealedSecret[], sealer: Pick<Sealer, 'open'>, log: Log): DeliveredSecrets {
  const fail = (fault: string, transient: boolean): DeliveredSecrets => ({ env: {}, registry: null, fault: { message: fault, transient } })
  const values = new Map(found.filter(({ kind }) => kind === 'value').map((secret) => [secret.name, secret]))
  const server = imageName(job.spec.image).registry
  const login = found.find((secret) => secret.kind === 'registry' && secret.server === server)
  const env: Record<string, string> = {}
  try {
    for (const [variable, name] of Object.entries(job.spec.secretEnv ?? {})) {
      const secret = values.get(name)
      if (!secret) return fail(`env.${variable}: the project has no secret ${name} with a value any more; set it, and submit the job again`, false)
      env[variable] = sealer.open(secret.sealed, secretContext(secret, name))
    }
    const bytes = Object.entries(env).reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value) + 2, 0)
    if (bytes > MAX_BYTES) return fail(`env: its secrets are ${bytes} bytes together; at most ${MAX_BYTES} fit, put larger data into a file`, false)
    const registry = login
      ? { server, ...(JSON.parse(sealer.open(login.sealed, secretContext(login, login.name))) as { username: string; password: string }) }
      : null
    return { env, registry, fault: null }
  } catch (error) {
    // Says with which key it was sealed, and nothing of what.
    log.error({ jobId: job.jobId, attemptId: job.attemptId, error: errorText(error) }, 'a secret cannot be opened')
    return fail('a secret of the job cannot be opened; whoever runs this installation finds why in the log of the scheduler', true)
  }
}
