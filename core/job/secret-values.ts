import type { ResolvedSpec } from './resolve.ts'
import type { Env } from './spec.ts'

/** Names of variables that hold a secret by all custom: these words, alone or at the end behind a `_`. */
const SECRET_NAME = /(^|_)(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|PRIVATE_KEY|ACCESS_KEY|SECRET_KEY|API_KEY|APIKEY|CONNECTION_STRING|CREDENTIALS)$/i

/** Shorter ones would mask half of an output. */
const MIN_LENGTH = 6
/** Longer values are masked in pieces of this many characters, so that looking for them stays cheap. */
const MAX_LENGTH = 4096

/** What is shown in the place of a secret. */
export const MASK = '***'

type WithEnv = Pick<ResolvedSpec, 'env' | 'secretEnv'> & { maskEnv?: readonly string[] | null | undefined }

/** The variables whose values are secret: those that the job names, else those whose names say so. */
export function secretNames({ env, maskEnv }: WithEnv): string[] {
  return maskEnv ? maskEnv.filter((name) => Object.hasOwn(env, name)) : Object.keys(env).filter((name) => SECRET_NAME.test(name))
}

/**
 * The values that must not be seen in a log, in each form in which they are likely to be printed; the longest first.
 * `delivered` are secrets of the project: they are masked however short they are.
 */
export function secretValues(spec: WithEnv, delivered: readonly string[] = []): string[] {
  const values = new Set<string>()
  for (const name of secretNames(spec)) addForms(values, spec.env[name] ?? '')
  for (const value of delivered) {
    addForms(values, value)
    for (const whole of [value, value.trim()]) if (whole !== '' && whole.length < MIN_LENGTH) values.add(whole)
  }
  return [...values].sort((a, b) => b.length - a.length)
}

function addForms(values: Set<string>, value: string): void {
  // Programs print a key of many lines line by line.
  for (const part of new Set([value, value.trim(), ...value.split(/\r?\n/)])) {
    if (part.trim().length < MIN_LENGTH) continue
    const bytes = Buffer.from(part)
    for (const form of [part, encodeURIComponent(part.toWellFormed()), bytes.toString('base64'), bytes.toString('base64url')])
      for (const piece of pieces(form)) values.add(piece)
  }
}

function pieces(text: string): string[] {
  if (text.length <= MAX_LENGTH) return [text]
  const parts = text.match(new RegExp(`[\\s\\S]{1,${MAX_LENGTH}}`, 'g')) ?? []
  return parts.filter((part) => part.length >= MIN_LENGTH)
}

/** A spec as it may be shown: secret values are masked, and secrets of the project are named as in the document. */
export function withoutSecrets<S extends WithEnv>(spec: S): Omit<S, 'env' | 'secretEnv'> & { env: Env } {
  const { env, secretEnv = {}, ...rest } = spec
  const secret = new Set(secretNames(spec))
  const texts = Object.entries(env).map(([name, value]): [string, string] => [name, secret.has(name) ? MASK : value])
  return { ...rest, env: { ...Object.fromEntries(texts), ...Object.fromEntries(Object.entries(secretEnv).map(([name, of]) => [name, { secret: of }])) } }
}
