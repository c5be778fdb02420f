import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { runCommand } from './platform.ts'

/**
 * A piece of "outside" in a network namespace of its own, reachable from this machine only: so a test can try the
 * metadata address or a private one, and a failing test reaches nobody.
 */
export interface Outside {
  /** An ordinary address, of the range for documentation (RFC 5737). */
  ordinary: string
  metadata: string
  privateAddress: string
  /** A second private address, for what is allowed by configuration. */
  allowedPrivate: string
  /** This machine's own address on the link. */
  host: string
  port: number
  close(): Promise<void>
}

const PORT = 8099
const ADDRESSES = { ordinary: '198.51.100.2', metadata: '169.254.169.254', privateAddress: '10.213.77.2', allowedPrivate: '10.213.77.3', host: '198.51.100.1' }

const SERVER = `require('node:http').createServer((q, s) => s.end('reached ' + s.socket.localAddress)).listen(${PORT}, '0.0.0.0', () => console.log('listening'))`

/** Makes the namespace, the link and a server in it that answers on every address. */
export async function createOutside(): Promise<Outside> {
  const name = `rgt${randomBytes(3).toString('hex')}`
  const [hostSide, farSide] = [`${name}h`, `${name}n`]
  const servers: ChildProcess[] = []
  const ip = async (...args: string[]) => {
    const result = await runCommand('ip', args)
    if (result.code !== 0) throw new Error(`ip ${args.join(' ')}: ${result.stderr}`)
  }
  const close = async () => {
    for (const server of servers) server.kill()
    await runCommand('ip', ['link', 'del', hostSide])
    await runCommand('ip', ['netns', 'del', name])
  }
  try {
    await ip('netns', 'add', name)
    await ip('link', 'add', hostSide, 'type', 'veth', 'peer', 'name', farSide, 'netns', name)
    await ip('addr', 'add', `${ADDRESSES.host}/30`, 'dev', hostSide)
    await ip('link', 'set', hostSide, 'up')
    for (const address of [`${ADDRESSES.ordinary}/30`, `${ADDRESSES.metadata}/32`, `${ADDRESSES.privateAddress}/32`, `${ADDRESSES.allowedPrivate}/32`])
      await ip('-n', name, 'addr', 'add', address, 'dev', farSide)
    await ip('-n', name, 'link', 'set', farSide, 'up')
    await ip('-n', name, 'link', 'set', 'lo', 'up')
    await ip('-n', name, 'route', 'add', 'default', 'via', ADDRESSES.host)
    // Before one that this machine may have: clouds route the metadata address themselves.
    for (const address of [ADDRESSES.metadata, ADDRESSES.privateAddress, ADDRESSES.allowedPrivate])
      await ip('route', 'prepend', `${address}/32`, 'via', ADDRESSES.ordinary, 'dev', hostSide)
    servers.push(await listen('ip', ['netns', 'exec', name, process.execPath, '-e', SERVER]))
    servers.push(await listen(process.execPath, ['-e', SERVER.replace('0.0.0.0', ADDRESSES.host)]))
  } catch (error) {
    await close()
    throw error
  }
  return { ...ADDRESSES, port: PORT, close }
}

function listen(command: string, args: string[]): Promise<ChildProcess> {
  const { promise, resolve, reject } = Promise.withResolvers<ChildProcess>()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  child.stdout.once('data', () => resolve(child))
  child.once('error', reject)
  child.once('exit', (code) => reject(new Error(`a stand-in ended with ${code}`)))
  return promise
}
