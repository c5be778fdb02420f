import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Webhook } from 'standardwebhooks'
import { type Platform, startPlatform } from '../harness/platform.ts'
import { ensurePythonRequests, PYTHON_CLIENT, python } from '../harness/python-client.ts'

let platform: Platform
let dir: string
before(async () => {
  await ensurePythonRequests()
  platform = await startPlatform()
  dir = mkdtempSync(join(tmpdir(), 'rgrid-python-'))
})
after(async () => {
  rmSync(dir, { recursive: true, force: true })
  await platform?.stop()
})

/** A way to the gateway whose first connections are answered as an overloaded, then a limiting one would. */
async function busyWay(url: string, answers: readonly string[]) {
  const open = new Set<Socket>()
  let seen = 0
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('error', () => socket.destroy())
    const refusal = answers[seen++]
    if (refusal !== undefined)
      return void socket.once('data', () => socket.end(`HTTP/1.1 ${refusal}\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`))
    const onward = connect({ host: new URL(url).hostname, port: Number(new URL(url).port) })
    onward.on('error', () => socket.destroy())
    socket.pipe(onward).pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    refused: () => Math.min(seen, answers.length),
    close() {
      for (const socket of open) socket.destroy()
      return new Promise((resolve) => server.close(resolve))
    },
  }
}

test('the Python example uploads, submits, follows, waits and downloads, also through a gateway that is busy at first', async () => {
  writeFileSync(join(dir, 'input.txt'), 'x'.repeat(4711))
  const way = await busyWay(platform.apiUrl, ['503 Service Unavailable', '429 Too Many Requests'])
  try {
    const env = { RGRID_API_URL: way.url, RGRID_API_KEY: platform.apiKey, RUN_ID: randomUUID() }
    const first = await python([join(PYTHON_CLIENT, 'rgrid_client.py'), 'input.txt'], { cwd: dir, env })
    assert.equal(first.code, 0, first.stdout + first.stderr)
    assert.match(first.stdout, /^job job_\w+\ncounted\nended succeeded 0\noutput count.txt 4711\n$/)
    assert.equal(way.refused(), 2)
    // The same run again is the same job: its key says so.
    const again = await python([join(PYTHON_CLIENT, 'rgrid_client.py'), 'input.txt'], { cwd: dir, env })
    assert.equal(again.code, 0, again.stdout + again.stderr)
    assert.equal(again.stdout, first.stdout)
  } finally {
    await way.close()
  }
})

test('it verifies webhooks that another implementation signed, and refuses those that are forged, changed or old', async () => {
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
  const body = '{"type":"job.succeeded","data":{"name":"Ä"}}'
  const now = new Date()
  const old = new Date(now.getTime() - 3_600_000)
  const headers = (at: Date, text: string) => ({
    'webhook-id': 'evt_1',
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': `v1,AAAA ${new Webhook(secret).sign('evt_1', at, text)}`,
  })
  const verify = (given: object, text: string) =>
    python([
      '-c',
      'import sys, json, rgrid_client as r; print(r.verify_webhook(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3].encode())["type"])',
      secret,
      JSON.stringify(given),
      text,
    ])
  const good = await verify(headers(now, body), body)
  assert.equal(good.stdout, 'job.succeeded\n', good.stderr)
  for (const [given, text, says] of [
    [headers(now, body), body.replace('succeeded', 'failed'), /not signed/],
    [{ ...headers(now, body), 'webhook-signature': 'v1,AAAA' }, body, /not signed/],
    [headers(old, body), body, /too old/],
  ] as const) {
    const bad = await verify(given, text)
    assert.equal(bad.code, 1)
    assert.match(bad.stderr, says)
  }
})
