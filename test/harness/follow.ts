import type { JobDetail } from '#core/api.ts'
import type { Platform } from './platform.ts'

/** Submits a job and returns its id; throws when it is refused. */
export async function submitJob(platform: Platform, spec: object): Promise<string> {
  const answer = await platform.api('POST', '/v1/projects/default/jobs', { spec })
  const body = (await answer.json()) as { id: string; detail?: string }
  if (answer.status !== 201) throw new Error(`the job was refused: ${body.detail}`)
  return body.id
}

/** Follows a job until its events fit, or end; returns them. */
export async function followUntil(platform: Platform, jobId: string, fits: RegExp): Promise<string> {
  const response = await platform.api('GET', `/v1/jobs/${jobId}/logs?follow=true`)
  let text = ''
  for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += piece
    if (fits.test(text)) return text
  }
  return text
}

/** Follows a job to its end and returns it as it is then. */
export async function awaitEnd(platform: Platform, jobId: string): Promise<JobDetail> {
  await followUntil(platform, jobId, /event: end/)
  return readJob(platform, jobId)
}

/** A job with its attempts. */
export async function readJob(platform: Platform, jobId: string): Promise<JobDetail> {
  return (await (await platform.api('GET', `/v1/jobs/${jobId}`)).json()) as JobDetail
}

/** The standard output of a job, of its last attempt. */
export async function stdoutOf(platform: Platform, jobId: string): Promise<string> {
  return (await platform.api('GET', `/v1/jobs/${jobId}/logs?stream=stdout`)).text()
}
