import { readFileSync } from 'node:fs'
import type { Static, TSchema } from '@sinclair/typebox'
import {
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  Events,
  type JetStreamClient,
  type JetStreamManager,
  jwtAuthenticator,
  type Msg,
  type NatsConnection,
  type Subscription,
} from 'nats'
import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { decode, encode } from './codec.ts'
import { inboxPrefix } from './subjects.ts'
import { connectFault, tlsOptions } from './tls.ts'

/** A connection to NATS with typed, checked messages. It reconnects for ever. */
export interface Bus {
  readonly connection: NatsConnection
  readonly jetstream: JetStreamClient
  manager(): Promise<JetStreamManager>
  /** Publishes at most once; does nothing but buffer while the connection is away. */
  publish<T extends TSchema>(subject: string, schema: T, message: Static<T>): void
  /**
   * Publishes into a stream and waits until it is stored. Rejects when that is not acknowledged in time, and at once when
   * the connection was made anew meanwhile; it may be stored all the same. `msgId`: the stream drops repeats of it.
   */
  store(subject: string, data: Uint8Array, options: { timeoutMs: number; msgId?: string }): Promise<void>
  /** Hears messages; a bad one is counted and logged, never thrown. `queue`: one of the group hears each. */
  subscribe<T extends TSchema>(subject: string, schema: T, hear: (message: Static<T>, subject: string) => void, queue?: string): Subscription
  /** Asks and waits for the answer. Rejects after `timeoutMs`, or at once when nobody serves the subject. */
  request<Q extends TSchema, A extends TSchema>(subject: string, question: Q, answer: A, message: Static<Q>, timeoutMs: number): Promise<Static<A>>
  /** Serves requests. `replyAllowed` refuses answers to a foreign inbox. A handler's throw gives no answer. */
  serve<Q extends TSchema, A extends TSchema>(
    subject: string,
    queue: string,
    question: Q,
    answer: A,
    handle: (message: Static<Q>, subject: string) => Promise<Static<A>>,
    replyAllowed?: (reply: string, subject: string) => boolean,
  ): Subscription
  /** Whether the connection is up, as far as the client knows: a dead one may be noticed late. */
  isConnected(): boolean
  /** Calls `listener` each time the connection is up again, until the returned function is called. */
  onReconnect(listener: () => void): () => void
  /** Messages that did not fit their schema, or whose reply was refused, since the start. */
  badMessages(): number
  close(): Promise<void>
}

// The client's own defaults give up after ten tries and notice a dead peer after minutes (docs/BUS.md).
const RECONNECT: ConnectionOptions = {
  maxReconnectAttempts: -1,
  reconnectTimeWait: 500,
  reconnectJitter: 250,
  pingInterval: 10_000,
  maxPingOut: 2,
  ignoreAuthErrorAbort: true,
}

/** How long one try to connect may take. */
const CONNECT_MS = 5000

/** Where NATS is. */
export interface BusAddress {
  url: string
  /** PEM of the CA that its certificate must be of; then `url` begins with tls://. */
  ca?: string | undefined
}

/** Who one of our services is on the bus. */
export interface ServiceOptions extends BusAddress {
  name: string
  credsFile: string
  log: Log
}

/** Who a node is on the bus. `jwt` and `seed` are asked again at each connect, so that a renewed JWT is used. */
export interface NodeOptions extends BusAddress {
  nodeId: string
  jwt: () => string
  seed: () => string
  log: Log
}

/** Connects one of our services with its credentials file. Rejects when the server does not answer or accept it; `openBus` waits. */
export async function connectService(options: ServiceOptions): Promise<Bus> {
  const authenticator = credsAuthenticator(readFileSync(options.credsFile))
  return wrap(await connectTo(options, { name: options.name, authenticator }), options.log)
}

/** Connects a node. Rejects when the server does not answer or accept it; `openNodeBus` waits. */
export async function connectNode(options: NodeOptions): Promise<Bus> {
  const authenticator = jwtAuthenticator(options.jwt, () => Buffer.from(options.seed()))
  return wrap(await connectTo(options, { name: options.nodeId, authenticator, inboxPrefix: inboxPrefix(options.nodeId) }), options.log)
}

async function connectTo({ url, ca }: BusAddress, options: ConnectionOptions): Promise<NatsConnection> {
  const tls = tlsOptions(url, ca)
  try {
    return await connect({ ...RECONNECT, timeout: CONNECT_MS, servers: url, ...(tls === undefined ? {} : { tls }), ...options })
  } catch (error) {
    throw connectFault(error, url, ca)
  }
}

function wrap(connection: NatsConnection, log: Log): Bus {
  const jetstream = connection.jetstream()
  let connected = true
  let bad = 0
  const listeners = new Set<() => void>()
  const unacknowledged = new Set<(reason: Error) => void>()
  void watchStatus()

  async function watchStatus(): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type === Events.Disconnect) connected = false
      if (status.type === Events.Reconnect) {
        connected = true
        for (const giveUp of unacknowledged) giveUp(new Error('the connection was made anew'))
        for (const listener of listeners) listener()
      }
      if (status.type === Events.Disconnect || status.type === Events.Reconnect || status.type === Events.Error)
        log.warn({ status: status.type, detail: String(status.data) }, 'bus connection changed')
    }
  }

  function reject(subject: string, error: unknown): void {
    bad++
    log.warn({ subject, error: errorText(error) }, 'bad message dropped')
  }

  async function answerOne<Q extends TSchema, A extends TSchema>(
    msg: Msg,
    question: Q,
    answer: A,
    handle: (message: Static<Q>, subject: string) => Promise<Static<A>>,
  ): Promise<void> {
    let message: Static<Q>
    try {
      message = decode(question, msg.data)
    } catch (error) {
      reject(msg.subject, error)
      return
    }
    try {
      msg.respond(encode(answer, await handle(message, msg.subject)))
    } catch (error) {
      log.warn({ subject: msg.subject, error: errorText(error) }, 'a request was not answered')
    }
  }

  return {
    connection,
    jetstream,
    manager: () => connection.jetstreamManager(),
    publish(subject, schema, message) {
      connection.publish(subject, encode(schema, message))
    },
    async store(subject, data, { timeoutMs, msgId }) {
      const { promise: broken, reject: giveUp } = Promise.withResolvers<never>()
      unacknowledged.add(giveUp)
      try {
        await Promise.race([jetstream.publish(subject, data, { timeout: timeoutMs, ...(msgId === undefined ? {} : { msgID: msgId }) }), broken])
      } finally {
        unacknowledged.delete(giveUp)
      }
    },
    subscribe(subject, schema, hear, queue) {
      const callback = (error: Error | null, msg: Msg) => {
        if (error) return reject(subject, error)
        try {
          hear(decode(schema, msg.data), msg.subject)
        } catch (fault) {
          reject(msg.subject, fault)
        }
      }
      return connection.subscribe(subject, queue === undefined ? { callback } : { callback, queue })
    },
    async request(subject, question, answer, message, timeoutMs) {
      const reply = await connection.request(subject, encode(question, message), { timeout: timeoutMs })
      return decode(answer, reply.data)
    },
    serve(subject, queue, question, answer, handle, replyAllowed = () => true) {
      const callback = (error: Error | null, msg: Msg) => {
        if (error) return reject(subject, error)
        if (!msg.reply || !replyAllowed(msg.reply, msg.subject)) return reject(msg.subject, new Error('its reply subject is not allowed'))
        void answerOne(msg, question, answer, handle)
      }
      return connection.subscribe(subject, { queue, callback })
    },
    isConnected: () => connected,
    onReconnect(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    badMessages: () => bad,
    async close() {
      if (connection.isClosed()) return
      await connection.drain().catch(() => connection.close())
    },
  }
}
