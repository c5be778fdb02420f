import { EventEmitter, once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A TCP way to a server that can be cut, or fall silent. */
export interface Cable {
  /** The server's address, by this way. */
  through(url: string): string
  /** Ends every connection and refuses new ones. */
  cut(): void
  /** Keeps every connection, takes new ones, and passes nothing on: as when a network drops what is sent. */
  hush(): void
  /** Passes everything again, also what was held back. */
  mend(): void
  /** Resolves when so many more connections were refused. */
  refused(count: number): Promise<void>
  close(): Promise<void>
}

/** Lays one to the host and port of `url`. */
export async function startCable(url: string): Promise<Cable> {
  const target = new URL(url)
  const lines = new Map<Socket, Socket>()
  const refusals = new EventEmitter()
  let state: 'whole' | 'cut' | 'silent' = 'whole'
  const pass = (from: Socket, to: Socket) => {
    if (state === 'whole') from.pipe(to)
    else from.unpipe(to).pause()
  }
  const set = (next: typeof state) => {
    state = next
    for (const [from, to] of lines) pass(from, to)
  }
  const server = createServer((near) => {
    if (state === 'cut') {
      near.destroy()
      refusals.emit('refused')
      return
    }
    const far = connect(Number(target.port), target.hostname)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      lines.set(from, to)
      pass(from, to)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        lines.delete(from)
        to.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const cut = () => {
    set('cut')
    for (const socket of lines.keys()) socket.destroy()
  }
  return {
    through(address) {
      const changed = new URL(address)
      changed.host = `127.0.0.1:${port}`
      return changed.href
    },
    cut,
    hush: () => set('silent'),
    mend: () => set('whole'),
    async refused(count) {
      for (let i = 0; i < count; i++) await once(refusals, 'refused')
    },
    async close() {
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}
