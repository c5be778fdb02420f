// Postgres, S3 (sockets, and codes of Postgres for a server that starts, stops or is full), and what we gave up waiting for.
const AWAY_TEXT =
  /ECONNREFUSED|ECONNRESET|ECONNABORTED|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EPIPE|ENOTFOUND|EAI_AGAIN|socket hang up|Connection terminated|Backend has been terminated|terminating connection|the database system is|connection timeout|timeout expired|not accepting connections|\b(53300|57P0[123])\b/i
// Codes of the NATS client.
const AWAY_NATS: readonly unknown[] = ['TIMEOUT', '503', 'DISCONNECT', 'CONNECTION_CLOSED', 'CONNECTION_DRAINING', 'CONNECTION_REFUSED', 'CONNECTION_TIMEOUT']
const AWAY_NAMES = /^(DeadlineError|TimeoutError)$/
// Wrong password, no right to log in, no such database (https://www.postgresql.org/docs/17/errcodes-appendix.html).
const REFUSED_CODES: readonly unknown[] = ['28P01', '28000', '3D000', 'AUTHORIZATION_VIOLATION', 'BAD_AUTHENTICATION', 'BAD_CREDS', 'ACCOUNT_EXPIRED']

/** Whether an error, or one that caused it, says that a server we stand on (Postgres, NATS, S3) does not answer now. */
export function isAway(error: unknown): boolean {
  return chain(error).some(({ name, message, code }) => {
    if (name === 'NatsError' && AWAY_NATS.includes(code)) return true
    return AWAY_NAMES.test(name) || AWAY_TEXT.test(`${message} ${code ?? ''}`)
  })
}

/** Whether waiting may mend it: a server is away, and none is there that refuses us. */
export function mayPass(error: unknown): boolean {
  return isAway(error) && !chain(error).some(({ code }) => REFUSED_CODES.includes(code))
}

type Caught = Error & { code?: unknown }

function chain(error: unknown): Caught[] {
  const errors: Caught[] = []
  for (let at = error; at instanceof Error && errors.length < 6; at = at.cause) errors.push(at)
  return errors
}
