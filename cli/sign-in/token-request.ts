import { RGridError } from '#core/errors.ts'
import { signInError } from './sign-in-error.ts'

const DEADLINE_MS = 20_000
const MAX_LENGTH = 100_000

/** An issuer's answer to a form: its fields, and whether they tell of an error. */
export interface FormAnswer {
  isError: boolean
  fields: Readonly<Record<string, unknown>>
}

/** Sends a form to an issuer. Redirects are not followed: what is in it is for this address alone. Throws `unavailable`. */
export async function postForm(url: string, form: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<FormAnswer> {
  const deadline = AbortSignal.timeout(DEADLINE_MS)
  const host = new URL(url).host
  try {
    const response = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      headers: { accept: 'application/json' },
      body: new URLSearchParams(form),
      signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
    })
    const text = await response.text()
    const fields: unknown = text.length > MAX_LENGTH ? undefined : parse(text)
    if (typeof fields !== 'object' || fields === null || response.status >= 500 || (response.status >= 300 && response.status < 400))
      throw new RGridError('unavailable', `${host} does not answer as an issuer does (status ${response.status})`)
    return { isError: response.status !== 200, fields: fields as FormAnswer['fields'] }
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof RGridError) throw error
    throw new RGridError('unavailable', `${host} does not answer`, { cause: error })
  }
}

/** The access token of an answer of the token endpoint (RFC 6749, 5.1). Throws when it tells of an error. */
export function accessTokenOf({ isError, fields }: FormAnswer): string {
  if (isError) throw signInError(textOf(fields.error) ?? 'no reason', textOf(fields.error_description))
  const token = textOf(fields.access_token)
  if (token === null || !/^bearer$/i.test(textOf(fields.token_type) ?? '')) throw new RGridError('bad_request', 'the issuer’s answer holds no bearer token')
  return token
}

/** A field that must be a text to count. */
export function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Said by the caller, as for any other answer that is none.
    return undefined
  }
}
