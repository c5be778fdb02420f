import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { createNodeKey, credentialProof, signWithSeed } from '#bus/credentials.ts'
import { Problem } from '#core/api.ts'
import { errorText, RGridError } from '#core/errors.ts'
import { type EnrolRequest, NodeCredential } from '#core/operator-api.ts'
import type { Log } from '#core/service/log.ts'
import { nowMs, pause } from '#core/service/time.ts'
import { writeDurably } from './files.ts'

const StoredIdentity = Type.Object({
  nodeId: Type.String(),
  seed: Type.String(),
  publicKey: Type.String(),
  jwt: Type.String(),
  expiresAt: Type.String(),
  natsUrl: Type.String(),
  natsCa: Type.Optional(Type.String()),
})

const NodeKey = Type.Pick(StoredIdentity, ['publicKey', 'seed'])

/** Who this node is. The seed never leaves it. */
export type Identity = Static<typeof StoredIdentity>

/** What getting an identity needs. */
export interface IdentityOptions {
  dir: string
  apiUrl: string
  token: string | undefined
  facts: Omit<EnrolRequest, 'token' | 'publicKey'>
  log: Log
}

const DEADLINE_MS = 10_000
const RETRY_MS = 2000

/**
 * The identity of this node: the stored one with a fresh credential, or a new one by the token. Waits for the gateway
 * as long as it takes; throws when it says no and there is no token.
 */
export async function obtainIdentity(options: IdentityOptions, signal: AbortSignal): Promise<Identity> {
  for (;;) {
    signal.throwIfAborted()
    try {
      const stored = await readIdentity(options.dir)
      if (stored) {
        const renewed = await renewIdentity(options.apiUrl, options.dir, stored).catch((error: unknown) => {
          if (isRefusal(error) && options.token !== undefined) return undefined
          throw error
        })
        if (renewed) return renewed
      }
      return await enrol(options)
    } catch (error) {
      if (isRefusal(error)) throw error
      options.log.warn({ error: errorText(error) }, 'the gateway does not answer; trying again')
      await pause(RETRY_MS, signal)
    }
  }
}

/** Gets a fresh credential with a signature of the node's key, and stores it. */
export async function renewIdentity(apiUrl: string, dir: string, identity: Identity): Promise<Identity> {
  const issuedAt = nowMs()
  const signature = signWithSeed(identity.seed, credentialProof(identity.nodeId, issuedAt))
  const credential = await post(`${apiUrl}/v1/nodes/${identity.nodeId}/credentials`, { issuedAt, signature })
  // Where NATS is and its CA as the answer has them, not as they were.
  return store(dir, { publicKey: identity.publicKey, seed: identity.seed, ...credential })
}

async function enrol(options: IdentityOptions): Promise<Identity> {
  if (options.token === undefined)
    throw new RGridError('unauthenticated', 'this node has no identity, and RGRID_ENROL_TOKEN is not set; make a token on the control plane')
  // Kept from before the first try: when the answer is lost, the same key may ask again.
  const key = await pendingKey(options.dir)
  const credential = await post(`${options.apiUrl}/v1/nodes/enrol`, { ...options.facts, token: options.token, publicKey: key.publicKey })
  options.log.info({ nodeId: credential.nodeId }, 'enrolled')
  return store(options.dir, { ...key, ...credential })
}

async function pendingKey(dir: string): Promise<{ publicKey: string; seed: string }> {
  const path = join(dir, 'new-key.json')
  const stored: unknown = await readFile(path, 'utf8').then(JSON.parse, () => undefined)
  if (Value.Check(NodeKey, stored)) return stored
  const key = createNodeKey()
  await writeDurably(path, JSON.stringify(key))
  return key
}

async function store(dir: string, identity: Identity): Promise<Identity> {
  await writeDurably(join(dir, 'identity.json'), JSON.stringify(identity))
  return identity
}

async function readIdentity(dir: string): Promise<Identity | undefined> {
  const text = await readFile(join(dir, 'identity.json'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  const value: unknown = JSON.parse(text)
  return Value.Check(StoredIdentity, value) ? value : undefined
}

async function post(url: string, body: unknown): Promise<NodeCredential> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(DEADLINE_MS),
    redirect: 'error',
  })
  const answer: unknown = await response.json()
  if (response.ok && Value.Check(NodeCredential, answer)) return answer
  const detail = Value.Check(Problem, answer) ? answer.detail : `the gateway answered ${response.status}`
  throw new RGridError(response.status >= 400 && response.status < 500 && response.status !== 429 ? 'unauthenticated' : 'unavailable', detail)
}

function isRefusal(error: unknown): boolean {
  return error instanceof RGridError && error.code === 'unauthenticated'
}
