import { RGridError } from '#core/errors.ts'
import { isSecureUrl } from '#core/secure-url.ts'
import { monotonicMs, sleep } from '#core/service/time.ts'
import type { Login } from '#core/sign-in-api.ts'
import { shown } from '../terminal-text.ts'
import { audienceOf } from './code-flow.ts'
import { accessTokenOf, type FormAnswer, postForm, textOf } from './token-request.ts'

/** What the user is told: where to go with which code. */
export interface DevicePrompt {
  url: string
  /** The same with the code in it, where the issuer has that. */
  urlWithCode: string | null
  code: string
}

/** What the device flow stands on; a test has a clock of its own. */
export interface DeviceFlowOptions {
  show(prompt: DevicePrompt): void
  sleep?: (ms: number, signal?: AbortSignal) => Promise<void>
  now?: () => number
  signal?: AbortSignal
}

const GRANT = 'urn:ietf:params:oauth:grant-type:device_code'
const SLOW_DOWN_SECONDS = 5
const MAX_LIFE_SECONDS = 3600

/**
 * Signs in on another device (RFC 8628): shows a code, and asks the issuer, no more often than it wants, until the user has
 * entered it there. Resolves with the access token; throws an RGridError.
 */
export async function signInByDevice(login: Login, options: DeviceFlowOptions): Promise<string> {
  const { signal } = options
  const now = options.now ?? monotonicMs
  if (login.deviceAuthorizationEndpoint === null)
    throw new RGridError('bad_request', `${login.issuer} has no sign-in with a code; run "rgrid init" without --device`)
  const request = { client_id: login.clientId, scope: login.scopes.join(' '), ...audienceOf(login) }
  const grant = readGrant(await postForm(login.deviceAuthorizationEndpoint, request, signal))
  const endMs = now() + grant.lifeSeconds * 1000
  options.show(grant)
  let intervalSeconds = grant.intervalSeconds
  const form = { grant_type: GRANT, device_code: grant.deviceCode, client_id: login.clientId, ...audienceOf(login) }
  for (;;) {
    if (now() + intervalSeconds * 1000 >= endMs) throw tooLate()
    await (options.sleep ?? sleep)(intervalSeconds * 1000, signal)
    const answer = await postForm(login.tokenEndpoint, form, signal).catch((error: unknown) => {
      signal?.throwIfAborted()
      if (!(error instanceof RGridError) || error.code !== 'unavailable') throw error
      // Nothing came: RFC 8628, 3.5 wants the pauses to grow.
      return undefined
    })
    const error = answer?.isError ? answer.fields.error : undefined
    if (answer === undefined) intervalSeconds *= 2
    else if (error === 'slow_down') intervalSeconds += SLOW_DOWN_SECONDS
    else if (error === 'expired_token') throw tooLate()
    else if (error !== 'authorization_pending') return accessTokenOf(answer)
  }
}

function tooLate(): RGridError {
  return new RGridError('forbidden', 'the code was not entered in time; run "rgrid init --device" again')
}

function readGrant(answer: FormAnswer): DevicePrompt & { deviceCode: string; intervalSeconds: number; lifeSeconds: number } {
  // The endpoint answers an error as the token endpoint does; this throws it.
  if (answer.isError) accessTokenOf(answer)
  const { fields } = answer
  const [deviceCode, code, url] = [textOf(fields.device_code), textOf(fields.user_code), address(fields.verification_uri)]
  if (deviceCode === null || code === null || url === null) throw new RGridError('bad_request', 'the issuer’s answer holds no code to enter')
  return {
    deviceCode,
    code: shown(code).slice(0, 100),
    url,
    urlWithCode: address(fields.verification_uri_complete),
    intervalSeconds: seconds(fields.interval, 5, 300),
    lifeSeconds: seconds(fields.expires_in, 300, MAX_LIFE_SECONDS),
  }
}

function seconds(value: unknown, fallback: number, max: number): number {
  return typeof value === 'number' && value > 0 ? Math.min(value, max) : fallback
}

function address(value: unknown): string | null {
  return typeof value === 'string' && isSecureUrl(value) ? new URL(value).href : null
}
