import { invalidField, Refusal } from './answer.ts'

/** Labels of a thing. */
export type Labels = Record<string, string>

const NAME = /^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?$/
const PREFIX = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/

/** Refuses labels that https://docs.hetzner.cloud/reference/cloud#description/labels does not allow. */
export function checkLabels(labels: Labels): void {
  for (const [key, value] of Object.entries(labels)) {
    if (!isKey(key)) throw invalidField('labels', `label key ${key} is not correctly formatted`)
    if (key.startsWith('hetzner.cloud/')) throw invalidField('labels', 'the prefix hetzner.cloud/ is reserved')
    if (!isValue(value)) throw invalidField('labels', `label value ${value} (key: ${key}) is not correctly formatted`)
  }
}

function isKey(key: string): boolean {
  const parts = key.split('/')
  const name = parts.pop() ?? ''
  const [prefix] = parts
  return parts.length <= 1 && NAME.test(name) && (prefix === undefined || (prefix.length <= 253 && PREFIX.test(prefix)))
}

function isValue(value: string): boolean {
  return value === '' || NAME.test(value)
}

/** Says whether labels fit a selector. Throws a refusal when the selector is none. */
export function parseSelector(selector: string): (labels: Labels) => boolean {
  const terms = splitTerms(selector).map(parseTerm)
  return (labels) => terms.every((fits) => fits(labels))
}

/** Commas in brackets belong to a set. */
function splitTerms(selector: string): string[] {
  return selector.split(/,(?![^(]*\))/).map((term) => term.trim())
}

function parseTerm(term: string): (labels: Labels) => boolean {
  const set = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(term)
  if (set) {
    const [, key = '', operator, list = ''] = set
    const values = new Set(list.split(',').map((value) => checkValue(value.trim(), term)))
    checkKey(key, term)
    return operator === 'in'
      ? (labels) => labels[key] !== undefined && values.has(labels[key])
      : (labels) => labels[key] === undefined || !values.has(labels[key])
  }
  const pair = /^([^\s=!]+)\s*(==|=|!=)\s*(\S*)$/.exec(term)
  if (pair) {
    const [, key = '', operator, value = ''] = pair
    checkKey(key, term)
    checkValue(value, term)
    // As with Kubernetes: what has no such label is not equal either.
    return operator === '!=' ? (labels) => labels[key] !== value : (labels) => labels[key] === value
  }
  const absent = term.startsWith('!')
  const key = checkKey(absent ? term.slice(1).trim() : term, term)
  return (labels) => (labels[key] === undefined) === absent
}

function checkKey(key: string, term: string): string {
  if (!isKey(key)) throw new Refusal('invalid_input', `label selector is invalid: ${term}`, { fields: [{ name: 'label_selector', messages: ['invalid'] }] })
  return key
}

function checkValue(value: string, term: string): string {
  if (!isValue(value)) throw new Refusal('invalid_input', `label selector is invalid: ${term}`, { fields: [{ name: 'label_selector', messages: ['invalid'] }] })
  return value
}
