import { openEngine } from './engine.ts'
import { envPath, writeEnvFile } from './env-file.ts'
import { createImages, prepareRuntimes } from './images.ts'
import { withLock } from './lock.ts'
import { ensureCommands } from './packages.ts'
import { apiKeyPath, makeTrust, prepareStore } from './prepare.ts'
import { startProcesses, stopOthers, waitForGateway, waitForNode } from './processes.ts'
import { say, step } from './progress.ts'
import { makeSecrets } from './secrets.ts'
import { startServices } from './services.ts'
import type { Settings } from './settings.ts'

/** Brings the whole platform up, step by step. Each step leaves alone what is already as it should be. */
export async function start(settings: Settings, signal: AbortSignal): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('the local node mounts work folders and reaches Docker: run this as root')
  await withLock(settings, async () => {
    const docker = await openEngine(settings, signal)
    await ensureCommands(['iptables', 'mkfs.ext4', 'losetup'], signal)
    const images = createImages(settings, docker, signal)
    const connections = makeSecrets(settings)
    await makeTrust(settings, connections, signal)
    // Two lanes: the services are up and prepared while the runtimes' images are still being built.
    const services = startServices(settings, docker, images, connections, signal).then(() => prepareStore(settings, connections, signal))
    await Promise.all([services, prepareRuntimes(settings, images)])
    await stopOthers(settings)
    if (settings.nodes === 'local') await startProcesses(settings, connections, ['machines'])
    await startProcesses(settings, connections, ['gateway', 'scheduler'])
    await step('gateway', () => waitForGateway(settings, connections, signal))
    if (settings.nodes === 'here') {
      await startProcesses(settings, connections, ['node-runner'])
      await step('node', () => waitForNode(settings, connections, signal))
    }
    writeEnvFile(settings, connections)
  })
}

/** Brings up only Postgres, NATS and S3, and the schema and bucket in them: what integration tests need. */
export async function startOnlyServices(settings: Settings, signal: AbortSignal): Promise<void> {
  await withLock(settings, async () => {
    const docker = await openEngine(settings, signal)
    // With it, tests of isolation make networks of their own.
    await ensureCommands(['ip'], signal)
    const images = createImages(settings, docker, signal)
    const connections = makeSecrets(settings)
    await makeTrust(settings, connections, signal)
    await startServices(settings, docker, images, connections, signal)
    await prepareStore(settings, connections, signal)
    writeEnvFile(settings, connections)
    say(`services are up; their addresses: . '${envPath(settings)}'`)
  })
}

/** Prints where things are and what to try. */
export function printWelcome(settings: Settings): void {
  process.stdout.write(`
RGrid is up.

  API      http://127.0.0.1:${settings.ports.api.number}
  key      ${apiKeyPath(settings)}
  shell    . '${envPath(settings)}'
  logs     ${settings.stateDir}/logs/

Try:
  npx rgrid run docs/examples/wordcount/wordcount.py README.md
  npx rgrid run docs/examples/node/primes.mjs 1000
  npx rgrid list
`)
}
