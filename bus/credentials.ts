import { encodeAccount, encodeOperator, encodeUser, fmtCreds } from '@nats-io/jwt'
import { createAccount, createOperator, createUser, fromPublic, fromSeed } from '@nats-io/nkeys'
import { nodePermissions } from './subjects.ts'

/**
 * Decentralised NATS auth (https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt):
 * an operator signs accounts, an account's signing key signs users; the server knows the operator only.
 */
export interface Trust {
  operatorJwt: string
  systemAccount: { publicKey: string; jwt: string }
  account: { publicKey: string; jwt: string }
  /** Seed of the account's signing key: whoever holds it can make users of the account. */
  signingSeed: string
}

/** Makes an operator, a system account and the account that RGrid lives in. The root seeds are not kept. */
export async function createTrust(): Promise<Trust> {
  const operator = createOperator()
  const system = createAccount()
  const account = createAccount()
  const signing = createAccount()
  const systemKey = system.getPublicKey()
  return {
    operatorJwt: await encodeOperator('rgrid', operator, { system_account: systemKey }),
    systemAccount: { publicKey: systemKey, jwt: await encodeAccount('SYS', system, {}, { signer: operator }) },
    account: {
      publicKey: account.getPublicKey(),
      jwt: await encodeAccount(
        'RGRID',
        account,
        {
          signing_keys: [signing.getPublicKey()],
          limits: {
            mem_storage: -1,
            disk_storage: -1,
            streams: -1,
            consumer: -1,
            conn: -1,
            leaf: -1,
            subs: -1,
            data: -1,
            payload: -1,
            imports: -1,
            exports: -1,
            wildcards: true,
          },
        },
        { signer: operator },
      ),
    },
    signingSeed: text(signing.getSeed()),
  }
}

/** The part of a trust that mints users. */
export interface Minter {
  /** Public key of the account. */
  account: string
  signingSeed: string
}

/** The user JWT of a node: its own key, its own subjects only, until `expiresAtMs`. */
export async function mintNodeJwt(minter: Minter, node: { id: string; pool: string; publicKey: string }, expiresAtMs: number): Promise<string> {
  const permissions = nodePermissions(node.id, node.pool)
  return encodeUser(
    node.id,
    fromPublic(node.publicKey),
    fromSeed(Buffer.from(minter.signingSeed)),
    { ...permissions, subs: -1, data: -1, payload: 1024 * 1024, issuer_account: minter.account },
    { exp: Math.floor(expiresAtMs / 1000) },
  )
}

/** A credentials file for one of our own services, which may do everything within the account. */
export async function mintServiceCreds(minter: Minter, name: string): Promise<string> {
  const user = createUser()
  const jwt = await encodeUser(name, user, fromSeed(Buffer.from(minter.signingSeed)), { subs: -1, data: -1, payload: -1, issuer_account: minter.account })
  return text(fmtCreds(jwt, user))
}

/** What a node signs to ask for a fresh JWT. */
export function credentialProof(nodeId: string, issuedAtMs: number): Uint8Array {
  return Buffer.from(`${nodeId}:${issuedAtMs}`)
}

/** Whether `signature` (base64) is that of the node's key over `credentialProof`. Never throws. */
export function verifyCredentialProof(publicKey: string, nodeId: string, issuedAtMs: number, signature: string): boolean {
  try {
    return fromPublic(publicKey).verify(credentialProof(nodeId, issuedAtMs), Buffer.from(signature, 'base64'))
  } catch {
    return false
  }
}

/** Whether this is the public half of a user's key, with the right checksum. */
export function isUserKey(publicKey: string): boolean {
  try {
    return publicKey.startsWith('U') && fromPublic(publicKey).getPublicKey() === publicKey
  } catch {
    return false
  }
}

/** A node's own key pair. The seed stays on the node. */
export function createNodeKey(): { publicKey: string; seed: string } {
  const user = createUser()
  return { publicKey: user.getPublicKey(), seed: text(user.getSeed()) }
}

/** Signs with a node's seed; base64. */
export function signWithSeed(seed: string, data: Uint8Array): string {
  return Buffer.from(fromSeed(Buffer.from(seed)).sign(data)).toString('base64')
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8')
}
