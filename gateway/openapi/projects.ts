import type { ProjectView } from '#core/api.ts'
import type { KeyView, NewKeyView } from '#core/key-api.ts'
import type { SecretView } from '#core/secret-api.ts'
import { EXAMPLE, json, type Operation } from './operation.ts'

const PROJECT: ProjectView = {
  id: EXAMPLE.project,
  slug: 'default',
  name: 'The shop',
  createdAt: '2026-11-01T08:00:00.000Z',
  retention: { jobsDays: 90, logsDays: 30, artifactsDays: 30 },
}
const KEY: KeyView = {
  id: EXAMPLE.key,
  name: 'ci',
  prefix: '7k2m9q4w',
  environment: 'live',
  scopes: ['jobs:read', 'jobs:write', 'logs:read'],
  createdBy: EXAMPLE.user,
  createdAt: '2026-11-23T10:00:00.000Z',
  expiresAt: null,
  revokedAt: null,
  lastUsedAt: null,
  replacedBy: null,
}
const NEW_KEY: NewKeyView = { ...KEY, key: 'rgrid_live_7k2m9q4w_told_this_once' }
const SECRET: SecretView = {
  id: EXAMPLE.secret,
  name: 'API_TOKEN',
  kind: 'value',
  server: null,
  version: 1,
  createdAt: '2026-11-23T10:00:00.000Z',
  updatedAt: '2026-11-23T10:00:00.000Z',
  lastUsedAt: null,
}
const PAGE = { limit: 200, cursor: EXAMPLE.cursor } as const

/** Projects, and the keys and secrets in them. */
export const PROJECT_OPERATIONS: Readonly<Record<string, Operation>> = {
  'GET /v1/projects': { id: 'listProjects', tag: 'Projects', parameters: PAGE, answers: { 200: json({ items: [PROJECT], nextCursor: null }) } },
  'POST /v1/projects': {
    id: 'createProject',
    tag: 'Projects',
    idempotent: true,
    body: json({ slug: 'default', name: 'The shop' }),
    answers: { 201: json({ ...PROJECT, apiKey: { ...NEW_KEY, name: 'first' } }) },
  },
  'GET /v1/projects/{slug}': { id: 'getProject', tag: 'Projects', answers: { 200: json(PROJECT) } },
  'PATCH /v1/projects/{slug}': {
    id: 'changeProject',
    tag: 'Projects',
    body: json({ retention: { logsDays: 30 } }),
    answers: { 200: json(PROJECT) },
  },
  'DELETE /v1/projects/{slug}': { id: 'deleteProject', tag: 'Projects', answers: { 204: {} } },
  'GET /v1/projects/{slug}/keys': {
    id: 'listKeys',
    tag: 'Keys',
    description: 'Also those that were revoked or expired in the last 90 days.',
    parameters: PAGE,
    answers: { 200: json({ items: [KEY], nextCursor: null }) },
  },
  'POST /v1/projects/{slug}/keys': {
    id: 'createKey',
    tag: 'Keys',
    description: 'A key may do no more than who makes it.',
    idempotent: true,
    body: json({ name: 'ci', scopes: ['jobs:read', 'jobs:write', 'logs:read'] }),
    answers: { 201: json(NEW_KEY) },
  },
  'GET /v1/keys/{id}': { id: 'getKey', tag: 'Keys', answers: { 200: json(KEY) } },
  'POST /v1/keys/{id}/rotate': {
    id: 'rotateKey',
    tag: 'Keys',
    description:
      'The new key is good for as long as the old one was when it was made. A key that expires rotates none whose replacement would outlive it; when it rotates itself the new key ends when it would have.',
    idempotent: true,
    body: json({ overlapSeconds: 86_400 }),
    answers: { 201: json(NEW_KEY) },
  },
  'DELETE /v1/keys/{id}': { id: 'revokeKey', tag: 'Keys', answers: { 204: {} } },
  'GET /v1/projects/{slug}/secrets': { id: 'listSecrets', tag: 'Secrets', parameters: PAGE, answers: { 200: json({ items: [SECRET], nextCursor: null }) } },
  'PUT /v1/projects/{slug}/secrets/{name}': {
    id: 'setSecret',
    tag: 'Secrets',
    parameters: { name: 'API_TOKEN' },
    body: json({ value: 'never answered again' }),
    answers: { 200: json(SECRET) },
  },
  'DELETE /v1/projects/{slug}/secrets/{name}': { id: 'deleteSecret', tag: 'Secrets', parameters: { name: 'API_TOKEN' }, answers: { 204: {} } },
}
