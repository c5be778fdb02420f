/** The claims of a verified token. */
export type Claims = Readonly<Record<string, unknown>>

/**
 * The value at a dotted path (`realm_access.roles`); undefined when there is none. The name of a claim may hold dots
 * itself (`https://example.com/org`), so the longest name that is there wins. Only own fields: `__proto__` is not a way.
 */
export function claimAt(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path]
  for (let dot = path.lastIndexOf('.'); dot > 0; dot = path.lastIndexOf('.', dot - 1)) {
    const name = path.slice(0, dot)
    const inner = Object.hasOwn(claims, name) ? claims[name] : undefined
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) continue
    const value = claimAt(inner as Claims, path.slice(dot + 1))
    if (value !== undefined) return value
  }
  return undefined
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this takes out
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/
const ALL_CONTROL = new RegExp(CONTROL, 'g')

/** A text that people chose, fit to be stored and shown: no control characters, at most `max` long. Null when nothing is left. */
export function textClaim(value: unknown, max: number): string | null {
  if (typeof value !== 'string') return null
  const text = value.toWellFormed().replace(ALL_CONTROL, ' ').trim().slice(0, max).toWellFormed()
  return text === '' ? null : text
}

/** An id, as it is or not at all: one that were cut or cleaned could become another's. */
export function idClaim(value: unknown): string | null {
  return typeof value === 'string' && value !== '' && value.length <= 255 && value.isWellFormed() && !CONTROL.test(value) ? value : null
}
