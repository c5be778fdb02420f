import { ERROR_CODES } from '#core/errors.ts'
import type { RawAnswer } from './send.ts'

/** What no answer may hold: a stack, a statement, the name of a library or of a constraint. */
const INSIDE =
  /node_modules|node:internal|\bat [^\n]{0,200}\.[jt]s:\d+|slonik|violates [^\n]{0,80}constraint|invalid (input|byte) syntax|invalid byte sequence|relation "|syntax error at or near|SQLSTATE|pg_catalog|ECONNREFUSED|FST_ERR/i

/** What is wrong with an answer, whatever was asked; undefined when nothing is. */
export function faultOf(answer: RawAnswer, method: string): string | undefined {
  const { status, headers, body } = answer
  if (!(status >= 101 && status < 500)) return `the status is ${status}: ${body.slice(0, 500)}`
  if (headers.has('x-evil') || headers.has('set-cookie')) return 'a header was smuggled in'
  if (status < 400) return undefined
  const type = headers.get('content-type') ?? ''
  if (method === 'HEAD') return undefined
  if (!type.startsWith('application/problem+json')) return `an error is ${type || 'without a type'}: ${body.slice(0, 300)}`
  const problem = parse(body)
  if (!problem) return `the problem is no JSON: ${body.slice(0, 300)}`
  const known = Object.entries(ERROR_CODES).find(([code]) => code === problem.code)?.[1]
  if (!known) return `the code ${JSON.stringify(problem.code)} is not of the list`
  if (problem.status !== status || known.status !== status) return `the status is ${status}, the problem says ${problem.status}, its code ${known.status}`
  if (typeof problem.detail !== 'string' || problem.detail === '' || typeof problem.requestId !== 'string')
    return `the problem lacks its detail or request id: ${body.slice(0, 300)}`
  if (body.length > 100_000) return `the problem is ${body.length} bytes long`
  const inside = INSIDE.exec(body)
  if (inside) return `the problem tells of the inside (${inside[0]}): ${body.slice(0, 500)}`
  return undefined
}

function parse(body: string): { code?: unknown; status?: unknown; detail?: unknown; requestId?: unknown } | undefined {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
