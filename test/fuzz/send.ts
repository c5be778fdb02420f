import { connect } from 'node:net'

/** A request, byte by byte: names and values of headers are latin1. */
export interface RawRequest {
  method: string
  target: string
  headers: [string, string][]
  body: Buffer | undefined
}

/** What came back. `body` is empty where the answer goes on for ever. */
export interface RawAnswer {
  status: number
  headers: Map<string, string>
  body: string
  ms: number
}

let sources = 0

/**
 * Sends it over a connection of its own. Throws when no whole answer came within the deadline. A stream (SSE, WebSocket) is
 * left once it has begun.
 */
export function send(port: number, request: RawRequest, deadlineMs: number): Promise<RawAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<RawAnswer>()
  const startedMs = performance.now()
  // From many addresses, as one alone runs out of ports.
  sources = (sources + 1) % 60_000
  const socket = connect({ host: '127.0.0.1', port, localAddress: `127.0.${1 + Math.floor(sources / 250)}.${1 + (sources % 250)}` })
  const parts: Buffer[] = []
  const late = setTimeout(
    () => socket.destroy(new Error(`no answer within ${deadlineMs} ms; so far: ${Buffer.concat(parts).toString('latin1').slice(0, 300)}`)),
    deadlineMs,
  )
  const finish = (answer: RawAnswer) => {
    socket.destroy()
    resolve(answer)
  }
  socket.on('connect', () => socket.write(serialise(request)))
  socket.on('data', (part) => {
    parts.push(part)
    const begun = parse(Buffer.concat(parts), performance.now() - startedMs)
    if (begun && (begun.status === 101 || begun.headers.get('content-type')?.startsWith('text/event-stream'))) finish({ ...begun, body: '' })
  })
  socket.on('end', () => {
    const answer = parse(Buffer.concat(parts), performance.now() - startedMs)
    if (answer) finish(answer)
    else socket.destroy(new Error('the connection ended without an answer'))
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    // The server may answer and close while a large body is still on its way.
    const answer = error.code === 'ECONNRESET' || error.code === 'EPIPE' ? parse(Buffer.concat(parts), performance.now() - startedMs) : undefined
    if (answer) resolve(answer)
    else reject(error)
  })
  socket.on('close', () => {
    clearTimeout(late)
    reject(new Error('the connection was closed without an answer'))
  })
  return promise
}

function serialise({ method, target, headers, body }: RawRequest): Buffer {
  const lines = [`${method} ${target} HTTP/1.1`, 'host: fuzz', 'connection: close', ...headers.map(([name, value]) => `${name}: ${value}`)]
  if (body) lines.push(`content-length: ${body.length}`)
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), body ?? Buffer.alloc(0)])
}

function parse(bytes: Buffer, ms: number): RawAnswer | undefined {
  const split = bytes.indexOf('\r\n\r\n')
  if (split === -1) return undefined
  const [first = '', ...lines] = bytes.subarray(0, split).toString('latin1').split('\r\n')
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1])
  // 100 Continue is not the answer yet.
  if (status === 100) return parse(bytes.subarray(split + 4), ms)
  const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]))
  const raw = bytes.subarray(split + 4)
  return { status, headers, body: (headers.get('transfer-encoding') === 'chunked' ? dechunk(raw) : raw).toString('utf8'), ms }
}

function dechunk(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf('\r\n', at)
    const size = Number.parseInt(bytes.subarray(at, end).toString('latin1'), 16)
    if (!(size > 0)) break
    parts.push(bytes.subarray(end + 2, end + 2 + size))
    at = end + 2 + size + 2
  }
  return Buffer.concat(parts)
}

/** The request as a command for a shell. */
export function asCurl(port: number, { method, target, headers, body }: RawRequest): string {
  const quote = (text: string) =>
    `$'${[...Buffer.from(text, 'latin1')].map((byte) => (byte >= 0x20 && byte < 0x7f && byte !== 0x27 && byte !== 0x5c ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`)).join('')}'`
  const command = [
    'curl -i --path-as-is -g',
    '-X',
    method,
    ...headers.map(([name, value]) => `-H ${quote(value === '' ? `${name};` : `${name}: ${value}`)}`),
    quote(`http://127.0.0.1:${port}${target}`),
  ]
  if (!body) return command.join(' ')
  const text = body.length > 3000 ? `${body.toString('latin1').slice(0, 3000)}…` : body.toString('latin1')
  const rest = body.length > 3000 ? `   # ${body.length} bytes in all` : ''
  return `printf '%b' ${quote(text.replaceAll('\\', '\\\\').replaceAll('\0', '\\0000'))} | ${command.join(' ')} --data-binary @-${rest}`
}
