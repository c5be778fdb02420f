import { type Static, Type } from '@sinclair/typebox'
import { BusCaEnv } from '#bus/tls.ts'
import { SealerEnv } from '#core/sealer.ts'
import { MetricsEnv } from '#core/service/config.ts'
import { TracingEnv } from '#core/service/trace.ts'
import { WebhookEnv } from '#core/webhook-targets.ts'
import { ObjectsEnv } from '#store/config.ts'
import { BulkEnv } from './bulk/options.ts'
import { HttpEnv } from './http-options.ts'

/** What the gateway reads from its environment (docs/CONFIGURATION.md). */
export const GatewayEnv = Type.Object({
  RGRID_LISTEN: Type.String({ default: '127.0.0.1:8470', pattern: '^.+:\\d+$', description: 'address and port it listens on' }),
  ...HttpEnv,
  ...BulkEnv,
  RGRID_DATABASE_URL: Type.String({ description: 'URL of the database as the role rgrid_gateway' }),
  RGRID_NATS_URL: Type.String({ description: 'address of NATS, such as tls://nats:4222, or nats://127.0.0.1:8472 without TLS' }),
  ...BusCaEnv,
  RGRID_NATS_CREDS_FILE: Type.String({ description: 'path of gateway.creds' }),
  RGRID_NATS_NODE_URL: Type.Optional(Type.String({ description: 'address of NATS that nodes are told, where it differs from RGRID_NATS_URL' })),
  RGRID_NATS_ACCOUNT: Type.String({ description: 'public key of the NATS account (account.pub)' }),
  RGRID_NATS_SIGNING_SEED: Type.String({ description: 'seed of the account’s signing key (signing.seed), to make the credentials of nodes' }),
  RGRID_NODE_JWT_SECONDS: Type.Integer({ default: 3600, minimum: 60, maximum: 86_400, description: 'how long a node’s credential is good' }),
  ...ObjectsEnv,
  ...SealerEnv,
  RGRID_URL_SECONDS: Type.Integer({ default: 3600, minimum: 60, maximum: 86_400, description: 'how long presigned addresses given to clients are good' }),
  RGRID_SLOT_HOUR_MICRONS: Type.Integer({
    default: 4800,
    minimum: 0,
    maximum: 1_000_000_000,
    description: 'what an hour of a slot costs, in microns (1 EUR = 1,000,000): by it jobs are charged, and monthly limits reserved',
  }),
  RGRID_RUNTIMES_FILE: Type.Optional(Type.String({ description: 'path of a JSON object: runtime name → image reference, instead of the built-in ones' })),
  RGRID_OIDC_FILE: Type.Optional(
    Type.String({ description: 'path of a JSON list of the issuers whose tokens are taken (SIGN_IN.md); without it only API keys are' }),
  ),
  RGRID_ORGANISATION_GRACE_SECONDS: Type.Integer({
    default: 3600,
    minimum: 0,
    maximum: 86_400,
    description: 'how long after a token named an organisation its person may choose that account with tokens that name none (SIGN_IN.md)',
  }),
  ...WebhookEnv,
  ...MetricsEnv,
  ...TracingEnv,
  RGRID_LOG_LEVEL: Type.String({ default: 'info', description: 'trace, debug, info, warn, error' }),
})
/** See the schema of the same name. */
export type GatewayEnv = Static<typeof GatewayEnv>
