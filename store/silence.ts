import { connect } from 'node:net'
import { createPgDriverFactory } from '@slonik/pg-driver'
import pg from 'pg'
import { BackendTerminatedError, type DriverClient, type DriverFactory } from 'slonik'
import { after, DeadlineError, withDeadline } from '#core/service/time.ts'

/** A statement that takes longer may be slow, or nobody is there any more: the server is asked. */
const PATIENCE_MS = 1500
/** So long it may take to answer. It is asked twice, as this process may have been too busy to hear. */
const KNOCK_MS = 1000
const KNOCKS = 2
/** https://www.postgresql.org/docs/17/protocol-message-formats.html, SSLRequest. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

/**
 * The driver of the pool, for a network that drops what is sent: there a statement would wait for its answer for many
 * minutes, as nothing says that the connection is dead. A deadline would end long statements, too (a batch of 100,000
 * jobs is one); so a long one goes on as long as the server answers anybody, and fails, with its connection, when not.
 */
export function createWatchedDriver(): DriverFactory {
  const createDriver = createPgDriverFactory()
  return async (setup) => {
    const { host, port } = new pg.Client({ connectionString: setup.driverConfiguration.connectionUri })
    const server = watchServer((signal) => knock(host, port, signal))
    const driver = await createDriver(setup)
    return {
      async createClient() {
        // While it is silent each new connection would cost its caller the whole connection timeout.
        if (server.wasSilent() && (await server.isSilent())) throw silence()
        return watchClient(await driver.createClient(), server)
      },
    }
  }
}

interface Server {
  /** Whether it does not answer. All who ask at one time share one knock. */
  isSilent(): Promise<boolean>
  /** Whether it did not answer the last time. */
  wasSilent(): boolean
}

function watchServer(knockOnce: (signal: AbortSignal) => Promise<void>): Server {
  let asking: Promise<boolean> | undefined
  let silent = false

  async function ask(): Promise<boolean> {
    // Once it is known to be silent, one knock says whether it still is.
    let left = silent ? 1 : KNOCKS
    let heard = false
    while (!heard && left-- > 0) {
      heard = await withDeadline('an answer of Postgres', KNOCK_MS, knockOnce).then(
        () => true,
        () => false,
      )
    }
    silent = !heard
    return silent
  }

  return {
    wasSilent: () => silent,
    isSilent() {
      asking ??= ask().finally(() => {
        asking = undefined
      })
      return asking
    },
  }
}

function watchClient(client: DriverClient, server: Server): DriverClient {
  let lost: Error | undefined
  return {
    ...client,
    query(sql, values, options) {
      if (lost) return Promise.reject(lost)
      const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<DriverClient['query']>>>()
      let over = false
      const look = async () => {
        const silent = await server.isSilent()
        if (over) return
        if (!silent) {
          stop = after(PATIENCE_MS, look)
          return
        }
        lost = silence()
        reject(lost)
        client.destroy().catch(() => undefined)
      }
      let stop = after(PATIENCE_MS, look)
      client
        .query(sql, values, options)
        .then(resolve, reject)
        .finally(() => {
          over = true
          stop()
        })
      return promise
    },
    // The way of a lost one is over already; who gave up on it need not wait for the rest.
    destroy: () => (lost ? Promise.resolve() : client.destroy()),
  }
}

function silence(): Error {
  return new BackendTerminatedError(new DeadlineError('an answer of Postgres', KNOCKS * KNOCK_MS))
}

/**
 * Resolves when a Postgres answers at this address, without logging in: asked for TLS, every one answers with a byte.
 * A port that is closed is an answer, too: then the connections of before are closed as well, and that is heard.
 */
async function knock(host: string, port: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const socket = connect({ ...(host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port }), signal })
  socket.once('connect', () => socket.write(SSL_REQUEST))
  socket.once('data', () => resolve())
  socket.once('end', () => resolve())
  socket.on('error', (error: NodeJS.ErrnoException) => (/ECONN(REFUSED|RESET)/.test(String(error.code)) ? resolve() : reject(error)))
  return promise.finally(() => socket.destroy())
}
