import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { type Bus, connectNode, connectService } from '#bus/bus.ts'
import { createNodeKey, type Minter, mintNodeJwt } from '#bus/credentials.ts'
import { ensureStreams } from '#bus/streams.ts'
import { newId } from '#core/ids.ts'
import { testServices } from './services.ts'

const log = pino({ level: 'silent' })

/** What mints node credentials on the test servers. */
export function testMinter(): Minter {
  const dir = testServices().natsTrustDir
  const read = (name: string) => readFileSync(join(dir, name), 'utf8').trim()
  return { account: read('account.pub'), signingSeed: read('signing.seed') }
}

/** A connection as one of our services has it, with the streams made. */
export async function serviceBus(name: 'gateway' | 'scheduler' = 'scheduler'): Promise<Bus> {
  const services = testServices()
  const bus = await connectService({ name, url: services.natsUrl, credsFile: join(services.natsTrustDir, `${name}.creds`), log })
  await ensureStreams(bus)
  return bus
}

/** A connection with a real node credential. */
export async function nodeBus(nodeId = newId('node')): Promise<{ bus: Bus; nodeId: string }> {
  const key = createNodeKey()
  const jwt = await mintNodeJwt(testMinter(), { id: nodeId, pool: 'default', publicKey: key.publicKey }, Date.now() + 3_600_000)
  const bus = await connectNode({ nodeId, url: testServices().natsUrl, jwt: () => jwt, seed: () => key.seed, log })
  return { bus, nodeId }
}
