import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runMain } from '#core/service/run.ts'
import { createTrust, mintServiceCreds } from './credentials.ts'

/**
 * `node bus/trust.ts --dir DIR`: makes the NATS trust of an installation, once. Leaves in DIR the JWTs, the signing
 * seed, the credentials of gateway and scheduler, and `resolver.conf`, which nats.conf includes. What is there
 * already stays, so it can be run at each start.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { dir: { type: 'string' } } })
  if (!values.dir) throw new Error('usage: node bus/trust.ts --dir DIR')
  const dir = values.dir
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  // resolver.conf is written last: where it is, everything is.
  if (!existsSync(join(dir, 'resolver.conf'))) {
    const trust = await createTrust()
    write(dir, 'operator.jwt', trust.operatorJwt)
    write(dir, 'system-account.pub', trust.systemAccount.publicKey)
    write(dir, 'system-account.jwt', trust.systemAccount.jwt)
    write(dir, 'account.pub', trust.account.publicKey)
    write(dir, 'account.jwt', trust.account.jwt)
    write(dir, 'signing.seed', trust.signingSeed)
    const minter = { account: trust.account.publicKey, signingSeed: trust.signingSeed }
    for (const name of ['gateway', 'scheduler']) write(dir, `${name}.creds`, await mintServiceCreds(minter, name))
    write(dir, 'resolver.conf', resolverConf(dir))
  }
}

function resolverConf(dir: string): string {
  const read = (name: string) => readFileSync(join(dir, name), 'utf8')
  return `operator: ${read('operator.jwt')}
system_account: ${read('system-account.pub')}
resolver: MEMORY
resolver_preload: {
  ${read('account.pub')}: ${read('account.jwt')}
  ${read('system-account.pub')}: ${read('system-account.jwt')}
}
`
}

function write(dir: string, name: string, content: string): void {
  const path = join(dir, name)
  writeFileSync(`${path}.new`, content, { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

await runMain(main)
