import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { runnerImageFile } from '../../../scheduler/cloud/boot-files.ts'
import { makeNatsCertificates } from '../../harness/nats-certificates.ts'

const SCRIPT = join(import.meta.dirname, '../../../infra/hetzner/node-runner-archive.sh')
const IMAGE = `rgrid-test/node-runner:${randomBytes(4).toString('hex')}`
const ARCH = execFileSync('docker', ['version', '--format', '{{.Server.Arch}}'], { encoding: 'utf8' }).trim()
const dir = mkdtempSync(join(tmpdir(), 'rgrid-runner-image-'))
const archive = join(dir, 'boot/node-runner.tar.gz')
const certificates = makeNatsCertificates('127.0.0.1')
/** Bytes that the server leaves out of the end of what it hands out. */
let cutBytes = 0
let server: Server

before(async () => {
  makeImage()
  const tls = { cert: readFileSync(join(certificates.serverDir, 'server.pem')), key: readFileSync(join(certificates.serverDir, 'server.key')) }
  server = createServer(tls, (request, response) => {
    if (request.url !== '/boot/node-runner.tar.gz') return response.writeHead(404).end()
    const content = readFileSync(archive)
    return response.end(content.subarray(0, content.length - cutBytes))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
after(async () => {
  await new Promise((resolve) => server.close(resolve))
  removeImage()
  certificates.remove()
  rmSync(dir, { recursive: true })
})

/** An image of one file, which is another each time. */
function makeImage(): void {
  const content = join(dir, 'content')
  mkdirSync(content, { recursive: true })
  writeFileSync(join(content, 'chance'), randomBytes(1024))
  execFileSync('sh', ['-c', `tar -C "$1" -c . | docker import - "$2"`, 'sh', content, IMAGE])
}

const imageId = () => execFileSync('docker', ['image', 'inspect', '--format', '{{.Id}}', IMAGE], { encoding: 'utf8' }).trim()

function removeImage(): void {
  execFileSync('docker', ['image', 'rm', '--force', IMAGE])
}

/** Runs a program; never rejects. */
async function run(file: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<{ code: number; stdout: string; stderr: string }> {
  try {
    return { code: 0, ...(await promisify(execFile)(file, args, { env: { ...process.env, ...env }, timeout: 60_000 })) }
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string }
  }
}

/** Runs node-runner-archive.sh as deploy.sh does, with these settings. */
function save(settings: Record<string, string>) {
  const lines = Object.entries({ HCLOUD_IMAGE: 'debian-13', IMAGE_ARCH: ARCH, ...settings }).map((pair) => `${pair.join('=')}\n`)
  writeFileSync(join(dir, 'rgrid.env'), lines.join(''))
  return run(SCRIPT, [dir, archive])
}

/** Runs what a machine runs at boot. */
function boot({ path = '/boot/node-runner.tar.gz', image = IMAGE, env = { CURL_CA_BUNDLE: certificates.caFile } as NodeJS.ProcessEnv } = {}) {
  const script = join(dir, 'rgrid-image')
  writeFileSync(script, runnerImageFile(image, `https://127.0.0.1:${(server.address() as AddressInfo).port}${path}`).content)
  return run('sh', [script], env)
}

test('a machine has the image that was built on the control server, and loads it once', async () => {
  assert.deepEqual(await save({ NODE_RUNNER_IMAGE: IMAGE }), { code: 0, stdout: `node-runner-archive: saved ${IMAGE} for nodes\n`, stderr: '' })
  const id = imageId()
  removeImage()
  const loaded = await boot()
  assert.equal(loaded.code, 0, loaded.stderr)
  assert.equal(imageId(), id)
  assert.equal((await boot({ path: '/nothing-is-asked-for' })).code, 0)
})

test('the archive is made again only for another image', async () => {
  const settings = { NODE_RUNNER_IMAGE: IMAGE }
  await save(settings)
  const { mtimeMs, ino } = statSync(archive)
  assert.deepEqual(await save(settings), { code: 0, stdout: '', stderr: '' })
  assert.deepEqual([statSync(archive).mtimeMs, statSync(archive).ino], [mtimeMs, ino])
  removeImage()
  makeImage()
  assert.match((await save(settings)).stdout, /saved/)
  assert.notEqual(statSync(archive).ino, ino)
  assert.deepEqual(readdirSync(join(dir, 'boot')).sort(), ['node-runner.tar.gz', 'node-runner.tar.gz.id'])
})

test('no image comes of an archive that is cut off, of another one, of none, or of a server that is not trusted', async () => {
  await save({ NODE_RUNNER_IMAGE: IMAGE })
  removeImage()
  cutBytes = 200
  assert.notEqual((await boot()).code, 0)
  cutBytes = 0
  assert.match((await boot({ path: '/boot/none' })).stderr, /404/)
  assert.match((await boot({ env: {} })).stderr, /certificate/)
  assert.match((await boot({ image: `${IMAGE}-other` })).stderr, /the archive does not hold rgrid-test/)
  removeImage()
  makeImage()
})

test('an image that nodes pull is not saved, one that is not here or of another architecture is refused', async () => {
  rmSync(archive, { force: true })
  assert.deepEqual(await save({ NODE_RUNNER_IMAGE: 'ghcr.io/acme/node-runner:1' }), { code: 0, stdout: '', stderr: '' })
  assert.match(
    (await save({ NODE_RUNNER_IMAGE: 'rgrid-test/nowhere:1' })).stderr,
    /NODE_RUNNER_IMAGE=rgrid-test\/nowhere:1 names no registry and was not built here/,
  )
  assert.match((await save({})).stderr, /NODE_RUNNER_IMAGE is not set/)
  const foreign = { NODE_RUNNER_IMAGE: IMAGE, IMAGE_ARCH: ARCH === 'amd64' ? 'arm64' : 'amd64' }
  assert.match((await save(foreign)).stderr, new RegExp(`IMAGE_ARCH=${foreign.IMAGE_ARCH}, but ${IMAGE} was built on ${ARCH}`))
  assert.ok(!existsSync(archive))
  assert.equal((await save({ ...foreign, HCLOUD_IMAGE: '4711' })).code, 0, 'a snapshot has it already')
})
