import assert from 'node:assert/strict'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { sql } from 'slonik'
import { createClient } from '../../../cli/client.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'

let gateway: TestGateway
before(async () => {
  gateway = await startGateway()
})
after(() => gateway.stop())

/** A way to the gateway that swallows the first answers and cuts the connection instead. */
async function losingAnswers(url: string, count: number) {
  let lost = 0
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    const { hostname, port } = new URL(url)
    const onward = connect({ host: hostname, port: Number(port) })
    socket.pipe(onward)
    onward.on('data', (bytes) => {
      if (lost < count) {
        lost++
        socket.destroy()
        onward.destroy()
      } else socket.write(bytes)
    })
    for (const end of [socket, onward]) end.on('error', () => end.destroy())
    socket.on('close', () => onward.destroy())
    onward.on('close', () => socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lost: () => lost,
    close() {
      for (const socket of open) socket.destroy()
      return new Promise((resolve) => server.close(resolve))
    },
  }
}

test('a job and a batch whose answers are lost twice are there once', async () => {
  const direct = await gateway.listen()
  for (const [table, expected] of [
    ['jobs', 1],
    ['batches', 1],
  ] as const) {
    await gateway.admin.query(sql.unsafe`truncate jobs, batches cascade`)
    const way = await losingAnswers(direct, 2)
    const client = createClient({ apiUrl: way.url, apiKey: gateway.key, source: 'a test' })
    const params = { slug: 'default' }
    const spec = { runtime: 'bash', command: ['true'] }
    const made =
      table === 'jobs'
        ? await client.call('POST /v1/projects/:slug/jobs', { params, body: { spec } })
        : await client.call('POST /v1/projects/:slug/batches', { params, body: { template: spec, items: [{}, {}] } })
    assert.equal(way.lost(), 2)
    const rows = await gateway.admin.anyFirst(sql.unsafe`select id from ${sql.identifier([table])}`)
    assert.deepEqual([rows.length, rows[0]], [expected, made.id])
    await way.close()
  }
})
