/** A metric that an expression asks for, with the labels that it names there. */
export interface Selected {
  metric: string
  labels: string[]
}

/** What an expression of PromQL is about. */
export interface Expression {
  type: 'scalar' | 'vector' | 'range' | 'string'
  selected: Selected[]
  /** Labels that it groups or matches by. */
  grouped: string[]
}

const AGGREGATIONS = new Set(['sum', 'min', 'max', 'avg', 'count', 'group', 'stddev', 'stdvar'])
const PARAMETERISED = new Set(['topk', 'bottomk', 'quantile', 'count_values'])
/** What functions take: r is a range, v a vector, s a scalar. Only those that are in use here. */
const FUNCTIONS: Readonly<Record<string, string>> = {
  rate: 'r',
  increase: 'r',
  irate: 'r',
  delta: 'r',
  changes: 'r',
  avg_over_time: 'r',
  max_over_time: 'r',
  histogram_quantile: 'sv',
  absent: 'v',
  clamp_min: 'vs',
  time: '',
}
const PRECEDENCE: readonly (readonly string[])[] = [['or'], ['and', 'unless'], ['==', '!=', '>', '<', '>=', '<='], ['+', '-'], ['*', '/', '%'], ['^']]
const TOKEN = /\s+|#[^\n]*|(\d+(?:ms|[smhdwy]))+|\d+(?:\.\d+)?|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[a-zA-Z_:][\w:]*|=~|!~|==|!=|>=|<=|[-+*/%^(){}[\],=<>@:]/y
const DURATION = /^(\d+(ms|[smhdwy]))+$/

/**
 * Reads an expression of PromQL (https://prometheus.io/docs/prometheus/latest/querying/basics/), so far as rules and dashboards
 * here use the language: syntax, how many arguments functions take and of which type. Throws at the first fault.
 */
export function parsePromql(text: string): Expression {
  const tokens = tokenise(text)
  let at = 0
  const selected: Selected[] = []
  const grouped: string[] = []
  const peek = () => tokens[at] ?? ''
  const fail = (wanted: string): never => {
    throw new Error(`${wanted} is wanted, not "${peek()}" (${tokens.slice(0, at).join(' ')} ⟨here⟩ ${tokens.slice(at).join(' ')})`)
  }
  const take = (wanted?: string): string => {
    if (wanted !== undefined && peek() !== wanted) fail(wanted)
    return tokens[at++] ?? fail('something')
  }
  const accept = (token: string): boolean => (peek() === token ? take() !== '' : false)

  function labelList(): string[] {
    const labels: string[] = []
    take('(')
    while (peek() !== ')') {
      if (!/^[a-zA-Z_]\w*$/.test(peek())) fail('a label')
      labels.push(take())
      if (!accept(',') && peek() !== ')') fail(', or )')
    }
    take(')')
    return labels
  }

  function binary(level: number): Expression['type'] {
    const operators = PRECEDENCE[level]
    if (!operators) return unary()
    let left = binary(level + 1)
    while (operators.includes(peek())) {
      const operator = take()
      const isSet = ['and', 'or', 'unless'].includes(operator)
      accept('bool')
      if (peek() === 'on' || peek() === 'ignoring') {
        take()
        grouped.push(...labelList())
        if (peek() === 'group_left' || peek() === 'group_right') {
          take()
          if (peek() === '(') grouped.push(...labelList())
        }
      }
      const right = binary(level + 1)
      for (const side of [left, right])
        if (side === 'range' || side === 'string' || (isSet && side === 'scalar')) fail(`another type than ${side} for ${operator}`)
      left = left === 'scalar' && right === 'scalar' ? 'scalar' : 'vector'
    }
    return left
  }

  function unary(): Expression['type'] {
    if (accept('-') || accept('+')) return unary()
    let type = primary()
    for (;;) {
      if (accept('[')) {
        if (type !== 'vector' || !DURATION.test(take())) fail('a duration behind a vector')
        take(']')
        type = 'range'
      } else if (accept('offset')) {
        if (!DURATION.test(take())) fail('a duration')
      } else return type
    }
  }

  function primary(): Expression['type'] {
    const token = take()
    if (/^\d/.test(token)) return 'scalar'
    if (/^["']/.test(token)) return 'string'
    if (token === '(') {
      const type = binary(0)
      take(')')
      return type
    }
    if (AGGREGATIONS.has(token) || PARAMETERISED.has(token)) return aggregate(token)
    if (peek() === '(') return call(token)
    if (!/^[a-zA-Z_:]/.test(token)) fail('a metric')
    selected.push({ metric: token, labels: peek() === '{' ? matchers() : [] })
    return 'vector'
  }

  function aggregate(name: string): Expression['type'] {
    const clause = () => {
      if (!accept('by') && !accept('without')) return
      grouped.push(...labelList())
    }
    clause()
    const types = args()
    clause()
    const wanted = PARAMETERISED.has(name) ? (name === 'count_values' ? 'string,vector' : 'scalar,vector') : 'vector'
    if (types.join(',') !== wanted) fail(`${name}(${wanted})`)
    return 'vector'
  }

  function call(name: string): Expression['type'] {
    const wanted = FUNCTIONS[name] ?? fail('a known function')
    const types = args().map((type) => ({ range: 'r', vector: 'v', scalar: 's', string: 't' })[type])
    if (types.join('') !== wanted) fail(`${name} of ${wanted}, not of ${types.join('')}`)
    return name === 'time' ? 'scalar' : 'vector'
  }

  function args(): Expression['type'][] {
    const types: Expression['type'][] = []
    take('(')
    while (peek() !== ')') {
      types.push(binary(0))
      if (!accept(',') && peek() !== ')') fail(', or )')
    }
    take(')')
    return types
  }

  function matchers(): string[] {
    const labels: string[] = []
    take('{')
    while (peek() !== '}') {
      if (!/^[a-zA-Z_]\w*$/.test(peek())) fail('a label')
      labels.push(take())
      const operator = take()
      if (!['=', '!=', '=~', '!~'].includes(operator)) fail('a matcher')
      const value = take()
      if (!/^["']/.test(value)) fail('a string')
      if (operator.endsWith('~')) new RegExp(value.slice(1, -1))
      if (!accept(',') && peek() !== '}') fail(', or }')
    }
    take('}')
    return labels
  }

  const type = binary(0)
  if (at < tokens.length) fail('the end')
  return { type, selected, grouped }
}

function tokenise(text: string): string[] {
  const tokens: string[] = []
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < text.length) {
    const from = TOKEN.lastIndex
    const token = TOKEN.exec(text)?.[0]
    if (token === undefined) throw new Error(`this is no PromQL: ${text.slice(from)}`)
    if (!/^[\s#]/.test(token)) tokens.push(token)
  }
  return tokens
}
