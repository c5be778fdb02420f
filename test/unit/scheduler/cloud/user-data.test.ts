import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { type BootFacts, MAX_USER_DATA_BYTES, NODE_ENV_PATH, userData } from '../../../../scheduler/cloud/user-data.ts'

const GOLDEN = join(import.meta.dirname, 'user-data.golden.yaml')
const TOKEN = `rgrid_enrol_${'a'.repeat(40)}`
const FACTS: BootFacts = {
  apiUrl: 'https://rgrid.example.org/',
  runnerImage: 'rgrid/node-runner:0.1.0',
  runnerArchiveUrl: 'https://rgrid.example.org/boot/node-runner.tar.gz',
  gvisor: false,
  deadmanMinutes: 30,
  token: TOKEN,
  name: 'rgrid-default-0123456789ab',
  pool: 'default',
  slots: 2,
  memoryBytes: 3 * 2 ** 30,
}

interface Document {
  package_update: boolean
  package_upgrade: boolean
  packages?: string[]
  write_files: { path: string; permissions: string; owner: string; content: string }[]
  bootcmd: string[][]
  runcmd: string[][]
}

const read = (change: Partial<BootFacts> = {}): Document => parse(userData({ ...FACTS, ...change }))
const file = (document: Document, path: string) => {
  const found = document.write_files.find((entry) => entry.path === path)
  assert.ok(found, `${path} is not written`)
  return found
}

test('the user data of a machine is what was agreed on, to the letter', () => {
  assert.equal(userData({ ...FACTS, gvisor: true }), readFileSync(GOLDEN, 'utf8'))
})

test('the settings of the runner are for root’s eyes, and hold the token and no other secret', () => {
  const document = read()
  const settings = file(document, NODE_ENV_PATH)
  assert.equal(settings.permissions, '0600')
  assert.equal(settings.owner, 'root:root')
  assert.deepEqual(
    Object.fromEntries(
      settings.content
        .trim()
        .split('\n')
        .map((line) => line.split('=', 2)),
    ),
    {
      RGRID_API_URL: 'https://rgrid.example.org',
      RGRID_ENROL_TOKEN: TOKEN,
      RGRID_NODE_DIR: '/var/lib/rgrid/node',
      RGRID_NODE_NAME: 'rgrid-default-0123456789ab',
      RGRID_NODE_POOL: 'default',
      RGRID_NODE_SLOTS: '2',
      RGRID_NODE_MEMORY: '3221225472',
      RGRID_DEADMAN_MINUTES: '30',
      RGRID_DEADMAN_COMMAND: 'true',
    },
  )
  assert.equal(userData(FACTS).split(TOKEN).length, 2, 'the token stands in one place')
})

test('no job can run before the metadata service is out of reach', () => {
  const document = read()
  const unit = file(document, '/etc/systemd/system/rgrid-node.service').content
  assert.match(unit, /^Requires=.*rgrid-metadata\.service/m)
  assert.match(unit, /^After=.*rgrid-metadata\.service/m)
  const rules = file(document, '/usr/local/sbin/rgrid-metadata').content
  assert.match(rules, /^set -eu$/m)
  assert.match(rules, /ip route replace blackhole 169\.254\.169\.254\/32/)
  assert.match(rules, /DOCKER-USER INPUT/)
  assert.match(rules, /-d 169\.254\.169\.254\/32 -j DROP/)
})

test('the runner has the rights that compose.yaml gives it, and no more', () => {
  const unit = file(read(), '/etc/systemd/system/rgrid-node.service').content
  const compose = parse(readFileSync(join(import.meta.dirname, '../../../../compose.yaml'), 'utf8'), { merge: true }).services['node-runner']
  const given = [...unit.matchAll(/--cap-add (\w+)/g)].map((match) => match[1])
  assert.deepEqual(given.sort(), [...compose.cap_add].sort())
  assert.match(unit, /--cap-drop ALL/)
  assert.doesNotMatch(unit, /--privileged/)
  for (const rule of compose.device_cgroup_rules) assert.ok(unit.includes(`--device-cgroup-rule "${rule}"`), rule)
})

/** Runs a script on a machine that has these commands, which say how they were called, and none of this one. */
function run(script: string, has: readonly string[]): string {
  const fakes = ['apt-get', ...has].map((name) => `${name}() { echo "${name} $*" >&3; }`).join('\n')
  // `command -v` knows functions too.
  const text = `exec 3>&1 >/dev/null\nPATH=/nonexistent\n${fakes}\n(${script.replace('#!/bin/sh', '')})`
  const { status, stdout, stderr } = spawnSync('/bin/bash', ['-c', text], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return stdout
}

test('what a snapshot brings along is not installed again', () => {
  const script = file(read(), '/usr/local/sbin/rgrid-engine').content
  const all = ['dockerd', 'docker', 'iptables', 'curl']
  assert.doesNotMatch(run(script, all), /apt-get/)
  for (const missing of all)
    assert.match(
      run(
        script,
        all.filter((name) => name !== missing),
      ),
      /^apt-get update .*\napt-get install .*docker\.io/m,
      missing,
    )
  const document = read()
  assert.equal(document.package_update, false)
  assert.equal(document.packages, undefined)
  assert.deepEqual(document.runcmd[0], ['/usr/local/sbin/rgrid-engine'], 'before anything that needs it')
})

const IMAGE_SCRIPT = '/usr/local/sbin/rgrid-image'
const unitOf = (change: Partial<BootFacts> = {}) => file(read(change), '/etc/systemd/system/rgrid-node.service').content

test('the runner’s image comes from the archive, and a name without a registry is never looked for at Docker Hub', () => {
  assert.match(unitOf(), /^ExecStartPre=\/usr\/local\/sbin\/rgrid-image$/m)
  assert.match(unitOf(), /docker run --pull never /)
  assert.match(file(read(), IMAGE_SCRIPT).content, /curl .* https:\/\/rgrid\.example\.org\/boot\/node-runner\.tar\.gz$/m)
})

test('an image that names its registry is pulled from there, one without an archive is on the machine', () => {
  const pulled = { runnerImage: 'ghcr.io/acme/rgrid-node-runner:0.1.0' }
  assert.doesNotMatch(unitOf(pulled), /--pull|rgrid-image/)
  assert.match(unitOf({ runnerArchiveUrl: null }), /--pull never/)
  for (const change of [pulled, { runnerArchiveUrl: null }]) assert.ok(!read(change).write_files.some(({ path }) => path === IMAGE_SCRIPT))
})

test('gVisor is of one release with digests of ours, and without it the runner does not start', () => {
  const script = file(read({ gvisor: true }), '/usr/local/sbin/rgrid-gvisor').content
  assert.match(script, /releases\/release\/20\d{6}\//)
  assert.equal([...script.matchAll(/sha256=[0-9a-f]{64} ;;/g)].length, 2)
  assert.ok(script.indexOf('sha256sum --check') < script.indexOf('install -m'))
  assert.match(unitOf({ gvisor: true }), /^ExecStartPre=.*DefaultRuntime.* = runsc \]/m)
  assert.doesNotMatch(unitOf(), /DefaultRuntime/)
})

test('a file that is not the gVisor of the digest is not installed', () => {
  const script = file(read({ gvisor: true }), '/usr/local/sbin/rgrid-gvisor').content.replace('#!/bin/sh', '')
  const fakes = ['curl() { echo other > runsc; }', 'install() { echo installed; }', 'systemctl() { echo started; }', 'uname() { echo x86_64; }'].join('\n')
  const { status, stdout, stderr } = spawnSync('/bin/bash', ['-c', `PATH=/usr/bin:/bin\n${fakes}\n${script}`], { encoding: 'utf8' })
  assert.equal(status, 1)
  assert.equal(stdout, 'runsc: FAILED\n')
  assert.match(stderr, /1 computed checksum did NOT match/)
})

test('nothing is upgraded behind a job’s back', () => {
  const document = read()
  assert.equal(document.package_upgrade, false)
  assert.ok(document.bootcmd[0]?.includes('unattended-upgrades.service'))
  assert.match(file(document, '/etc/apt/apt.conf.d/99-rgrid').content, /Unattended-Upgrade "0"/)
})

test('its scripts are shell, as far as a shell can tell', () => {
  for (const { path, content } of read({ gvisor: true }).write_files.filter((entry) => entry.content.startsWith('#!/bin/sh'))) {
    const { status, stderr } = spawnSync('sh', ['-n'], { input: content, encoding: 'utf8' })
    assert.equal(status, 0, `${path}: ${stderr}`)
  }
})

for (const [fact, values] of Object.entries({
  token: ['', 'rgrid_enrol_short', `${TOKEN}\nRGRID_API_URL=http://evil`, `${TOKEN}"`],
  name: ['', 'a b', 'a\nb', '$(reboot)', 'a'.repeat(64)],
  pool: ['', 'Default', 'a"b'],
  runnerImage: ['', '-v/:/host', 'a b', 'image\nExecStartPre=/bin/evil', 'image%n', '$IMAGE', 'a;b'],
  runnerArchiveUrl: [
    '',
    'http://host/image',
    'https://host',
    'https://user:pass@host/image',
    'https://host/$(reboot)',
    'https://host/a b',
    'https://host/a;b',
    "https://host/'",
  ],
  apiUrl: ['', 'ftp://x', 'https://user:pass@host', 'https://a\nb', 'http://a b/', 'file:///etc/passwd'],
  slots: [0, -1, 1.5, Number.NaN],
  memoryBytes: [0, 1.5, Number.POSITIVE_INFINITY],
  deadmanMinutes: [-1, Number.NaN],
})) {
  for (const value of values) {
    test(`a ${fact} of ${JSON.stringify(value)} makes no user data`, () => {
      assert.throws(() => userData({ ...FACTS, [fact]: value }), new RegExp(`the ${fact} of a machine`))
    })
  }
}

test('the longest facts fit what a provider takes', () => {
  const text = userData({
    ...FACTS,
    gvisor: true,
    name: 'n'.repeat(63),
    pool: 'p'.repeat(32),
    runnerImage: 'i'.repeat(255),
    runnerArchiveUrl: `https://host/${'a'.repeat(255)}`,
    apiUrl: `https://${'h'.repeat(200)}`,
  })
  assert.ok(Buffer.byteLength(text) < MAX_USER_DATA_BYTES / 2)
  assert.throws(() => userData({ ...FACTS, apiUrl: `https://host/${'p'.repeat(MAX_USER_DATA_BYTES)}` }), /bytes, and 32768 is the limit/)
})
