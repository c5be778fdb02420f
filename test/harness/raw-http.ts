import { connect, type Socket } from 'node:net'
import { withDeadline } from '#core/service/time.ts'

const DEADLINE_MS = 30_000

/** An answer as it came over the wire. */
export interface RawAnswer {
  status: number
  headers: Record<string, string>
  body: string
}

/** A TCP connection on which a test says what no HTTP client would. */
export interface RawConnection {
  socket: Socket
  write(bytes: string | Buffer): void
  /** The next answer that has come whole, by its Content-Length. */
  answer(): Promise<RawAnswer>
  /** Resolves when what came fits. */
  received(fits: RegExp): Promise<void>
  /** What came until now. */
  sofar(): string
  /** All that came; resolves when the other side has ended properly, rejects when it cut the connection. */
  ended(): Promise<string>
  close(): void
}

/** Opens one. Close it in the end. */
export async function rawConnection(url: string): Promise<RawConnection> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port) })
  let received = ''
  let whole = ''
  let wake = () => {}
  const end = Promise.withResolvers<void>()
  end.promise.catch(() => undefined)
  const opened = Promise.withResolvers<void>()
  socket.setEncoding('latin1')
  socket.once('connect', () => opened.resolve())
  socket.on('data', (text: string) => {
    received += text
    whole += text
    wake()
  })
  socket.on('error', (error) => {
    opened.reject(error)
    end.reject(error)
    wake()
  })
  socket.on('end', () => end.resolve())
  await opened.promise
  async function more(): Promise<void> {
    if (socket.destroyed || socket.readableEnded) throw new Error(`the connection ended: ${JSON.stringify(whole)}`)
    await new Promise<void>((resolve) => {
      wake = resolve
      socket.once('close', () => resolve())
    })
  }
  return {
    socket,
    write: (bytes) => void socket.write(bytes),
    received: (fits) =>
      withDeadline(String(fits), DEADLINE_MS, async () => {
        while (!fits.test(whole)) await more()
      }),
    answer: () =>
      withDeadline('an answer', DEADLINE_MS, async () => {
        for (;;) {
          const taken = takeAnswer(received)
          if (taken) {
            received = received.slice(taken.length)
            return taken.answer
          }
          await more()
        }
      }),
    sofar: () => whole,
    ended: () => withDeadline('the end', DEADLINE_MS, () => end.promise.then(() => whole)),
    close: () => void socket.destroy(),
  }
}

function takeAnswer(text: string): { answer: RawAnswer; length: number } | undefined {
  const headEnd = text.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const [first = '', ...lines] = text.slice(0, headEnd).split('\r\n')
  const status = Number(first.split(' ')[1])
  const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]))
  const start = headEnd + 4
  if (status === 100) return takeAfter(text, start)
  const size = Number(headers['content-length'] ?? 0)
  if (text.length < start + size) return undefined
  return { answer: { status, headers, body: Buffer.from(text.slice(start, start + size), 'latin1').toString('utf8') }, length: start + size }
}

/** What comes behind an interim answer. */
function takeAfter(text: string, start: number): { answer: RawAnswer; length: number } | undefined {
  const next = takeAnswer(text.slice(start))
  return next && { answer: next.answer, length: start + next.length }
}
