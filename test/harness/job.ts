import type { ArtifactView, JobDetail } from '#core/api.ts'
import type { Spec } from '#core/job/spec.ts'
import type { Platform } from './platform.ts'

/** A job that has ended, with everything it left. */
export interface EndedJob {
  job: JobDetail
  stdout: string
  stderr: string
  artifacts: ArtifactView[]
}

/** Submits a job over REST and waits for its end by following its log. */
export async function runJob(platform: Platform, spec: Spec): Promise<EndedJob> {
  const submitted = await platform.api('POST', '/v1/projects/default/jobs', { spec })
  if (submitted.status !== 201) throw new Error(`submit answered ${submitted.status}: ${await submitted.text()}`)
  const { id } = (await submitted.json()) as { id: string }
  const follow = await platform.api('GET', `/v1/jobs/${id}/logs?follow=true`)
  const events = await follow.text()
  if (!events.includes('event: end')) throw new Error(`the log ended without an end: ${events}`)
  const log = async (stream: string) => (await platform.api('GET', `/v1/jobs/${id}/logs?stream=${stream}`)).text()
  const artifacts = (await (await platform.api('GET', `/v1/jobs/${id}/artifacts`)).json()) as { items: ArtifactView[] }
  return {
    job: (await (await platform.api('GET', `/v1/jobs/${id}`)).json()) as JobDetail,
    stdout: await log('stdout'),
    stderr: await log('stderr'),
    artifacts: artifacts.items,
  }
}

/** The bytes of an artifact. */
export async function artifactText(platform: Platform, artifact: ArtifactView): Promise<string> {
  return (await platform.api('GET', `/v1/artifacts/${artifact.id}/download`)).text()
}
