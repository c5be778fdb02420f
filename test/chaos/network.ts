import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { runCommand } from '../harness/platform.ts'

/** A network namespace for one runner, whose only way out is a link that can be cut. */
export interface CutNetwork {
  /** This machine's address on the link, of the range for documentation (RFC 5737). Reachable from here too. */
  address: string
  /** Begins a command that runs inside; it sees this machine's mounts. */
  prefix: string[]
  /** Makes a port of the loopback interface reachable at `address`; returns that port's number there. */
  expose(port: number): Promise<number>
  cut(): Promise<void>
  mend(): Promise<void>
  close(): Promise<void>
}

/** Makes the namespace and the link. */
export async function createCutNetwork(): Promise<CutNetwork> {
  const name = `rgc${randomBytes(3).toString('hex')}`
  // One of 64 pairs, as another run may be under way on this machine.
  const pair = (randomBytes(1)[0] as number) & 0xfc
  const [host, node] = [`203.0.113.${pair + 1}`, `203.0.113.${pair + 2}`]
  const [hostSide, farSide] = [`${name}h`, `${name}n`]
  const servers: Server[] = []
  const ip = async (...args: string[]) => {
    const result = await runCommand('ip', args)
    if (result.code !== 0) throw new Error(`ip ${args.join(' ')}: ${result.stderr}`)
  }
  const close = async () => {
    for (const server of servers) server.close()
    await runCommand('ip', ['link', 'del', hostSide])
    await runCommand('ip', ['netns', 'del', name])
  }
  try {
    await ip('netns', 'add', name)
    await ip('link', 'add', hostSide, 'type', 'veth', 'peer', 'name', farSide, 'netns', name)
    await ip('addr', 'add', `${host}/30`, 'dev', hostSide)
    await ip('link', 'set', hostSide, 'up')
    await ip('-n', name, 'addr', 'add', `${node}/30`, 'dev', farSide)
    await ip('-n', name, 'link', 'set', farSide, 'up')
    await ip('-n', name, 'link', 'set', 'lo', 'up')
  } catch (error) {
    await close()
    throw error
  }
  return {
    address: host,
    // Not `ip netns exec`: that makes a mount namespace too, and Docker would not see the work folders mounted there.
    prefix: ['nsenter', `--net=/var/run/netns/${name}`],
    async expose(port) {
      const server = createServer((near) => {
        const far = connect(port, '127.0.0.1')
        near.pipe(far)
        far.pipe(near)
        near.on('error', () => far.destroy()).on('close', () => far.destroy())
        far.on('error', () => near.destroy()).on('close', () => near.destroy())
      })
      servers.push(server)
      server.listen(0, host)
      await once(server, 'listening')
      return (server.address() as AddressInfo).port
    },
    // The far side: what this machine's own address is used for by others goes on.
    cut: () => ip('-n', name, 'link', 'set', farSide, 'down'),
    mend: () => ip('-n', name, 'link', 'set', farSide, 'up'),
    close,
  }
}
