import type { AccountView, AuditEntry, MemberView, MeView, OperatorAuditEntry, RemovedMember } from '#core/account-api.ts'
import type { AccountLimitsView, Limits, LimitsView, Usage } from '#core/limit-api.ts'
import type { SignInView } from '#core/sign-in-api.ts'
import { EXAMPLE, json, type Operation } from './operation.ts'

const ACCOUNT: AccountView = { id: EXAMPLE.account, name: 'Example Ltd', kind: 'organisation', createdAt: '2026-11-01T08:00:00.000Z' }
const ME: MeView = {
  kind: 'user',
  id: EXAMPLE.user,
  name: 'ada@example.com',
  account: ACCOUNT,
  project: null,
  role: 'admin',
  scopes: [],
  accounts: [
    { id: 'acc_01m84q3c1rfkp9jw2ezb7d5h8v', name: 'Ada', kind: 'personal', role: 'owner' },
    { id: EXAMPLE.account, name: ACCOUNT.name, kind: ACCOUNT.kind, role: 'admin' },
  ],
}
const MEMBER: MemberView = {
  userId: EXAMPLE.user,
  email: 'ada@example.com',
  name: 'Ada',
  role: 'developer',
  source: 'manual',
  state: 'active',
  confirmedAt: null,
  keys: 1,
  createdAt: '2026-11-23T10:00:00.000Z',
}
const REMOVED: RemovedMember = {
  userId: EXAMPLE.user,
  blocked: true,
  keys: [{ id: EXAMPLE.key, name: 'ci', project: 'default', revokedAt: '2026-11-23T10:00:00.000Z' }],
}
const DEED: AuditEntry = {
  id: 4711,
  at: '2026-11-23T10:00:00.000Z',
  actor: { kind: 'user', id: EXAMPLE.user, name: 'ada@example.com' },
  action: 'key.create',
  project: 'default',
  objectId: EXAMPLE.key,
  ip: '203.0.113.7',
  requestId: '3a7f0f5e-6f0c-4f3e-9a51-0f5b6f6d2a11',
  details: { name: 'ci' },
}
const OPERATOR_DEED: OperatorAuditEntry = {
  ...DEED,
  actor: { kind: 'operator', id: EXAMPLE.key, name: 'ops' },
  action: 'limits.change',
  project: null,
  objectId: EXAMPLE.account,
  details: { openJobs: 1000 },
  account: EXAMPLE.account,
}
const LIMITS: Limits = {
  requestsPerSecond: 50,
  runningJobs: 100,
  openJobs: 200_000,
  jobCpuMillis: 8000,
  jobMemoryBytes: 17_179_869_184,
  jobTimeoutSeconds: null,
  batchItems: 100_000,
  storageBytes: 107_374_182_400,
  monthMicrons: 50_000_000,
}
const USAGE: Usage = { openJobs: 12, runningJobs: 4, storageBytes: 91_204_113, month: '2026-11', spentMicrons: 3_120_400, reservedMicrons: 57_600 }
const ACCOUNT_LIMITS: AccountLimitsView = { limits: LIMITS, usage: USAGE, weight: 1 }
const PROJECT_LIMITS: LimitsView = {
  limits: { account: LIMITS, project: { ...LIMITS, runningJobs: 20 } },
  usage: { account: USAGE, project: USAGE },
  weight: 1,
}
const SIGN_IN: SignInView = {
  issuers: [
    {
      issuer: 'https://login.example.com',
      clientId: 'rgrid-cli',
      scopes: ['openid', 'email', 'profile'],
      authorizationEndpoint: 'https://login.example.com/authorize',
      tokenEndpoint: 'https://login.example.com/token',
      deviceAuthorizationEndpoint: null,
      audience: null,
    },
  ],
}
const AUDIT_QUERY = {
  actor: EXAMPLE.user,
  action: 'key.create',
  object: EXAMPLE.key,
  since: '2026-11-22T00:00:00Z',
  until: '2026-11-24T00:00:00Z',
  limit: 50,
  cursor: EXAMPLE.cursor,
} as const
const PAGE = { limit: 200, cursor: EXAMPLE.cursor } as const

const members = (whose: 'Account' | 'Project', path: string): Record<string, Operation> => ({
  [`GET ${path}/members`]: {
    id: `list${whose}Members`,
    tag: 'Members',
    parameters: PAGE,
    answers: { 200: json({ items: [MEMBER], nextCursor: null }) },
  },
  [`PUT ${path}/members/{userId}`]: { id: `set${whose}Member`, tag: 'Members', body: json({ role: 'developer' }), answers: { 200: json(MEMBER) } },
  [`DELETE ${path}/members/{userId}`]: {
    id: `remove${whose}Member`,
    tag: 'Members',
    description:
      'Of the account they lose their roles in its projects too; in an organisation of the sign-in provider they are blocked until somebody gives them a role with PUT. In a project their keys end unless they have a role in the account.',
    parameters: { keys: 'revoke' },
    answers: { 200: json(REMOVED) },
  },
})
const audit = (whose: 'Account' | 'Project'): Operation => ({
  id: `list${whose}Audit`,
  tag: 'Audit',
  description: 'Of what an operator did to the account no more is told than that it was one: `operator` as kind, id and name, no address.',
  parameters: AUDIT_QUERY,
  answers: { 200: json({ items: [DEED], nextCursor: EXAMPLE.cursor }) },
})

/** The account: who asks, members, limits, audit, sign-in. */
export const ACCOUNT_OPERATIONS: Readonly<Record<string, Operation>> = {
  'GET /v1/auth': { id: 'getSignIn', tag: 'Account', answers: { 200: json(SIGN_IN) } },
  'GET /v1/me': { id: 'getMe', tag: 'Account', answers: { 200: json(ME) } },
  'GET /v1/account': { id: 'getAccount', tag: 'Account', answers: { 200: json(ACCOUNT) } },
  'PATCH /v1/account': { id: 'changeAccount', tag: 'Account', body: json({ name: 'Example Ltd' }), answers: { 200: json(ACCOUNT) } },
  ...members('Account', '/v1/account'),
  ...members('Project', '/v1/projects/{slug}'),
  'GET /v1/account/audit': audit('Account'),
  'GET /v1/projects/{slug}/audit': audit('Project'),
  'GET /v1/audit': {
    id: 'listOperatorAudit',
    tag: 'Audit',
    description:
      'The owners of an account that it concerns see it too, without who it was. What concerns the installation, such as `node.drain`, is of no account.',
    parameters: { ...AUDIT_QUERY, actor: EXAMPLE.key, action: 'limits.change', object: EXAMPLE.account, account: EXAMPLE.account },
    answers: { 200: json({ items: [OPERATOR_DEED], nextCursor: EXAMPLE.cursor }) },
  },
  'GET /v1/account/limits': { id: 'getAccountLimits', tag: 'Limits', answers: { 200: json(ACCOUNT_LIMITS) } },
  'GET /v1/projects/{slug}/limits': { id: 'getProjectLimits', tag: 'Limits', answers: { 200: json(PROJECT_LIMITS) } },
  'PATCH /v1/projects/{slug}/limits': {
    id: 'changeProjectLimits',
    tag: 'Limits',
    description: 'What is absent stays; null takes the limit away.',
    body: json({ runningJobs: 20 }),
    answers: { 200: json(PROJECT_LIMITS) },
  },
  'PATCH /v1/accounts/{id}/limits': {
    id: 'changeAccountLimits',
    tag: 'Limits',
    parameters: { id: 'default' },
    body: json({ requestsPerSecond: 50, weight: 1 }),
    answers: { 200: json(ACCOUNT_LIMITS) },
  },
}
