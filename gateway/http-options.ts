import { Type } from '@sinclair/typebox'
import type { GatewayEnv } from './config.ts'
import { memoryHere, memoryLimits } from './memory-limits.ts'
import { parseTrustedProxies } from './trusted-proxies.ts'

/** How the gateway speaks HTTP; part of its environment. */
export const HttpEnv = {
  RGRID_REQUEST_SECONDS: Type.Integer({ default: 300, minimum: 1, maximum: 3600, description: 'how long a request may take to arrive, with its body' }),
  RGRID_CORS_ORIGINS: Type.Optional(
    Type.String({
      pattern: '^(\\*|https?://[^\\s,/*]+(,\\s*https?://[^\\s,/*]+)*)$',
      description: 'origins whose pages may call the API in a browser, separated by commas, such as https://app.example.com; *: all; without it none',
    }),
  ),
  RGRID_TRUSTED_PROXIES: Type.Optional(
    Type.String({
      description:
        'addresses or ranges of proxies in front of the gateway, separated by commas, such as 172.16.0.0/12: what they say in X-Forwarded-For is where a request came from; without it nobody is believed',
    }),
  ),
  RGRID_HSTS_SECONDS: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: 63_072_000,
    description: 'Strict-Transport-Security for so long; only where the API is behind TLS for good; 0: not said',
  }),
  RGRID_MAX_LOOP_DELAY_MS: Type.Integer({
    default: 1000,
    minimum: 0,
    maximum: 60_000,
    description: 'a gateway whose event loop is late by more than this, on average over a second, answers 503; 0: never',
  }),
  RGRID_MAX_HEAP_BYTES: Type.Optional(
    Type.Integer({
      minimum: 0,
      description: 'the same, while its JavaScript heap is larger than this; 0: never; without it nine tenths of what the heap may grow to',
    }),
  ),
  RGRID_MAX_RSS_BYTES: Type.Optional(
    Type.Integer({
      minimum: 0,
      description:
        'the same, while its memory (RSS) is larger than this; 0: never; without it nine tenths of the limit of its container, else half of the machine',
    }),
  ),
}

/** The same, read. 0 is no limit. */
export interface HttpOptions {
  requestMs: number
  /** Origins that may read answers; `*` stands for all. */
  corsOrigins: readonly string[]
  /** Addresses and ranges whose X-Forwarded-For is believed. */
  trustedProxies: readonly string[]
  hstsSeconds: number
  maxLoopDelayMs: number
  maxHeapBytes: number
  maxRssBytes: number
}

/** Reads it from the environment. Throws a ConfigError. */
export function httpOptions(env: Readonly<GatewayEnv>): HttpOptions {
  const { maxHeapBytes, maxRssBytes } = memoryLimits(memoryHere())
  return {
    requestMs: env.RGRID_REQUEST_SECONDS * 1000,
    corsOrigins: env.RGRID_CORS_ORIGINS?.split(/,\s*/) ?? [],
    trustedProxies: parseTrustedProxies(env.RGRID_TRUSTED_PROXIES),
    hstsSeconds: env.RGRID_HSTS_SECONDS,
    maxLoopDelayMs: env.RGRID_MAX_LOOP_DELAY_MS,
    maxHeapBytes: env.RGRID_MAX_HEAP_BYTES ?? maxHeapBytes,
    maxRssBytes: env.RGRID_MAX_RSS_BYTES ?? maxRssBytes,
  }
}
