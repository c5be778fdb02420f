import { Resolver } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'

/** The addresses of a host name, IPv4 first. Rejects when it has none. */
export type Resolve = (host: string) => Promise<string[]>

const HOSTS_FILE = '/etc/hosts'

/**
 * Asks the name servers, after the machine's own list of hosts. Not getaddrinfo: it holds one of four threads for as long as
 * a name server is silent, so four names of a stranger could stop every lookup of the process.
 */
export function createResolve(): Resolve {
  const resolver = new Resolver({ timeout: 1500, tries: 2 })
  return async (host) => {
    const listed = (await readFile(HOSTS_FILE, 'utf8').catch(() => ''))
      .split('\n')
      .map((line) => line.replace(/#.*/, '').trim().toLowerCase().split(/\s+/))
      .flatMap(([address = '', ...names]) => (isIP(address) && names.includes(host.toLowerCase()) ? [address] : []))
    if (listed.length > 0) return listed
    const [four, six] = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
    const found = [four, six].flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
    if (found.length === 0 && four.status === 'rejected') throw four.reason
    return found
  }
}
