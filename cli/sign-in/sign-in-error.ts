import { RGridError } from '#core/errors.ts'
import { shown } from '../terminal-text.ts'

/** An answer of the issuer's that ends the sign-in (RFC 6749, 4.1.2.1 and 5.2), in words fit for a terminal. */
export function signInError(error: string, description: string | null): RGridError {
  if (error === 'access_denied') return new RGridError('forbidden', 'the sign-in was refused, or cancelled in the browser')
  const more = description === null ? '' : `: ${shown(description.slice(0, 300))}`
  return new RGridError('forbidden', `the issuer does not sign you in (${shown(error.slice(0, 100))}${more})`)
}
