import type { CostReport, Estimate } from '#core/cost-api.ts'
import type { JobSpec } from '#core/job/spec.ts'
import { json, type Operation } from './operation.ts'

const SUMS = { attempts: 120, slotSeconds: 7200, costMicrons: 9600, provisionalMicrons: 0, chargeMicrons: 16_000 }
const REPORT: CostReport = {
  by: 'day',
  since: '2026-11-01',
  until: '2026-11-23',
  items: [{ key: '2026-11-23', name: null, ...SUMS }],
  omitted: 0,
  total: SUMS,
}
const ESTIMATE: Estimate = {
  basis: 'script',
  n: 48,
  jobs: 10,
  slots: 1,
  seconds: { median: 41.2, p90: 55 },
  chargeMicrons: { median: 916, p90: 1223 },
  costMicrons: { median: 550, p90: 734 },
  reserveMicrons: 27_112,
}
const DOCUMENT: JobSpec = { spec: { runtime: 'python:3.11', command: ['python', 'thumbnail.py', 'in.jpg'] } }
const RANGE = { since: '2026-11-01', until: '2026-11-23', limit: 100 }

/** What jobs cost, and what they are likely to. */
export const COST_OPERATIONS: Readonly<Record<string, Operation>> = {
  'GET /v1/cost': {
    id: 'projectCosts',
    tag: 'Costs',
    description: 'The share of the paid hours of machines that the attempts ran on, and what they were charged. Money in microns: 1 EUR = 1,000,000.',
    parameters: { project: 'default', by: 'day', ...RANGE },
    answers: { 200: json(REPORT) },
  },
  'GET /v1/account/cost': {
    id: 'accountCosts',
    tag: 'Costs',
    parameters: { by: 'project', ...RANGE },
    answers: { 200: json({ ...REPORT, by: 'project', items: [{ key: 'default', name: 'default', ...SUMS }] }) },
  },
  'POST /v1/estimate': {
    id: 'estimateJobs',
    tag: 'Costs',
    description: 'By jobs of this project with the same script that succeeded, else by those with the same runtime.',
    parameters: { project: 'default', jobs: 10 },
    body: json(DOCUMENT),
    answers: { 200: json(ESTIMATE) },
  },
}
