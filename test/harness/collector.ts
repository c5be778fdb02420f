import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A span as a collector was sent it. */
export interface CollectedSpan {
  service: string
  traceId: string
  spanId: string
  /** Empty for the first of a trace. */
  parentId: string
  name: string
  kind: number
  startMs: number
  endMs: number
  failed: boolean
  traceState: string
  attributes: Record<string, string | number | boolean>
}

/** A stand-in for an OpenTelemetry collector: takes traces by OTLP/HTTP in JSON, and checks what it is sent against the standard. */
export interface Collector {
  url: string
  /** Resolves when such spans have come, with all of them; rejects when what came was not OTLP. */
  spans(fit: (spans: CollectedSpan[]) => boolean): Promise<CollectedSpan[]>
  /** Requests until now. */
  requests(): number
  /** Resolves with the next request, whatever is answered. */
  asked(): Promise<void>
  close(): Promise<void>
}

/** Starts one on loopback. `take`: answers as it should; `refuse`: 503; `hang`: never answers. */
export async function startCollector(mode: 'take' | 'refuse' | 'hang' = 'take'): Promise<Collector> {
  const spans: CollectedSpan[] = []
  const waiting = new Set<() => void>()
  const look = () => {
    for (const again of waiting) again()
  }
  let requests = 0
  let fault: unknown

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    requests++
    look()
    if (mode === 'hang') return
    if (mode === 'refuse') return void response.writeHead(503).end()
    try {
      spans.push(...(await readTraces(request)))
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"partialSuccess":{}}')
    } catch (error) {
      fault = error
      response.writeHead(400).end()
    }
    look()
  }

  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const until = <T>(look: () => T | undefined): Promise<T> => {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const again = () => {
      const found = look()
      if (fault !== undefined) reject(fault)
      else if (found !== undefined) resolve(found)
      else return
      waiting.delete(again)
    }
    waiting.add(again)
    again()
    return promise
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    spans: (fit) => until(() => (fit(spans) ? spans : undefined)),
    async asked() {
      const before = requests
      await until(() => (requests > before ? true : undefined))
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

type Value = { stringValue: string } | { intValue: number | string } | { boolValue: boolean } | { doubleValue: number }
interface Attribute {
  key: string
  value: Value
}

/** https://opentelemetry.io/docs/specs/otlp/#otlphttp, and its mapping to JSON: ids in hex, times as strings of nanoseconds. */
async function readTraces(request: IncomingMessage): Promise<CollectedSpan[]> {
  assert.deepEqual([request.method, request.url], ['POST', '/v1/traces'])
  assert.equal(request.headers['content-type'], 'application/json')
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  const body = JSON.parse(Buffer.concat(parts).toString('utf8'))
  assert.deepEqual(Object.keys(body), ['resourceSpans'])
  return body.resourceSpans.flatMap((resource: { resource: { attributes: Attribute[] }; scopeSpans: { scope: { name: string }; spans: unknown[] }[] }) => {
    const service = String(readAttributes(resource.resource.attributes)['service.name'])
    assert.notEqual(service, 'undefined')
    return resource.scopeSpans.flatMap(({ scope, spans }) => {
      assert.equal(scope.name, 'rgrid')
      return spans.map((span) => readSpan(service, span as Record<string, unknown>))
    })
  })
}

function readSpan(service: string, span: Record<string, unknown>): CollectedSpan {
  const { traceId, spanId, parentSpanId = '', name, kind, startTimeUnixNano, endTimeUnixNano, traceState = '' } = span as Record<string, string>
  assert.match(traceId ?? '', /^[0-9a-f]{32}$/)
  assert.match(spanId ?? '', /^[0-9a-f]{16}$/)
  assert.match(parentSpanId, /^([0-9a-f]{16})?$/)
  assert.ok(typeof name === 'string' && name !== '')
  assert.ok(Number.isInteger(kind) && Number(kind) >= 1 && Number(kind) <= 5)
  for (const time of [startTimeUnixNano, endTimeUnixNano]) assert.match(String(time), /^\d{19}$/)
  assert.ok(BigInt(String(endTimeUnixNano)) >= BigInt(String(startTimeUnixNano)), `${name} ends before it begins`)
  const ms = (nanos: string | undefined) => Number(BigInt(String(nanos)) / 1_000_000n)
  const status = span.status as { code?: number } | undefined
  return {
    service,
    traceId: String(traceId),
    spanId: String(spanId),
    parentId: parentSpanId,
    name: String(name),
    kind: Number(kind),
    startMs: ms(startTimeUnixNano),
    endMs: ms(endTimeUnixNano),
    failed: status?.code === 2,
    traceState,
    attributes: readAttributes((span.attributes ?? []) as Attribute[]),
  }
}

function readAttributes(attributes: readonly Attribute[]): CollectedSpan['attributes'] {
  return Object.fromEntries(
    attributes.map(({ key, value }) => {
      const [kind, held] = Object.entries(value)[0] as [string, string | number | boolean]
      assert.match(kind, /^(string|int|bool|double)Value$/, `${key} has a value of no kind`)
      return [key, held]
    }),
  )
}
