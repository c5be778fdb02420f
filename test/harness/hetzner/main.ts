import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { bootProcesses } from './boot-process.ts'
import { controlListener } from './control.ts'
import { startHetzner } from './stand-in.ts'

const HELP = `node test/harness/hetzner/main.ts: a project at Hetzner on this machine
  --port            of the API, on 127.0.0.1 (default: a free one)
  --control-port    for faults and the bill (default: a free one)
  --token           that opens it (default: stand-in-token)
  --dir             disks and logs of the machines (default: a new folder)
  --boot-seconds    from running to the first command (default: 2)
  --no-boot         servers run nothing
  --datacenters     /datacenters still answers, for older tools
`

const { values } = parseArgs({
  allowNegative: true,
  options: {
    port: { type: 'string', default: '0' },
    'control-port': { type: 'string', default: '0' },
    token: { type: 'string', default: 'stand-in-token' },
    dir: { type: 'string' },
    'boot-seconds': { type: 'string', default: '2' },
    boot: { type: 'boolean', default: true },
    datacenters: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) process.stdout.write(HELP)
else await main()

async function main(): Promise<void> {
  const dir = resolve(values.dir ?? mkdtempSync(join(tmpdir(), 'rgrid-hetzner-')))
  const standIn = await startHetzner({
    port: Number(values.port),
    token: values.token,
    createMs: 500,
    startMs: 500,
    deleteMs: 500,
    bootMs: Number(values['boot-seconds']) * 1000,
    datacenters: values.datacenters,
    ...(values.boot ? { boot: bootProcesses({ dir }) } : {}),
  })
  const control = createServer(controlListener(standIn))
  await new Promise<void>((listening) => control.listen(Number(values['control-port']), '127.0.0.1', listening))
  const controlUrl = `http://127.0.0.1:${(control.address() as AddressInfo).port}`
  process.stdout.write(`${JSON.stringify({ url: standIn.url, controlUrl, dir })}\n`)
  const stop = async () => {
    control.closeAllConnections()
    control.close()
    await standIn.stop()
    process.exit()
  }
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
}
