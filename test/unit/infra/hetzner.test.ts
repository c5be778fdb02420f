import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { after, test } from 'node:test'
import { parse as parseYaml } from 'yaml'
import { GatewayEnv } from '../../../gateway/config.ts'
import { SchedulerEnv } from '../../../scheduler/config.ts'
import { makeNatsCertificates, type NatsCertificates } from '../../harness/nats-certificates.ts'

// Not imported: its types would bring those of browsers, which clash with Node's.
const { parse: parseHcl } = createRequire(import.meta.url)('@cdktf/hcl2json') as { parse(name: string, text: string): Promise<Record<string, unknown>> }

const ROOT = join(import.meta.dirname, '../../..')
const FOLDER = join(ROOT, 'infra/hetzner')
const TERRAFORM = join(FOLDER, 'terraform')
/** The control server's address in its network. */
const CONTROL_IP = '10.80.0.2'

let certificates: NatsCertificates | undefined
after(() => certificates?.remove())

/** What nats-certificate.sh makes on the control server in /etc/rgrid. */
function natsCertificates(): NatsCertificates {
  certificates ??= makeNatsCertificates(CONTROL_IP)
  return certificates
}

interface Module {
  text: string
  variables: Record<string, { type?: string; description?: string; default?: unknown }[]>
  locals: Record<string, unknown>
  resources: Set<string>
}

let read: Promise<Module> | undefined

/** All files of the Terraform module, put together as Terraform does. */
function readModule(): Promise<Module> {
  read ??= parseModule()
  return read
}

async function parseModule(): Promise<Module> {
  const module: Module = { text: '', variables: {}, locals: {}, resources: new Set() }
  for (const file of readdirSync(TERRAFORM).filter((name) => name.endsWith('.tf'))) {
    const text = readFileSync(join(TERRAFORM, file), 'utf8')
    const parsed = await parseHcl(file, text)
    module.text += text
    Object.assign(module.variables, parsed.variable)
    for (const block of (parsed.locals ?? []) as Record<string, unknown>[]) Object.assign(module.locals, block)
    for (const [type, named] of Object.entries((parsed.resource ?? {}) as Record<string, object>))
      for (const name of Object.keys(named)) module.resources.add(`${type}.${name}`)
  }
  return module
}

/** Every `PREFIX.name` of a text. */
function namesAfter(prefix: string, text: string): Set<string> {
  return new Set([...text.matchAll(new RegExp(`\\b${prefix}\\.([a-z_0-9]+)`, 'g'))].map((match) => match[1] ?? ''))
}

test('what the Terraform module names is there, and what is there is used', async () => {
  const module = await readModule()
  const uncommented = module.text.replaceAll(/^\s*#.*$/gm, '')
  assert.deepEqual([...namesAfter('var', uncommented)].sort(), Object.keys(module.variables).sort())
  assert.deepEqual([...namesAfter('local', uncommented)].sort(), Object.keys(module.locals).sort())
  const references = [...uncommented.matchAll(/\b(hcloud_[a-z_]+\.[a-z_]+)\./g)].map((match) => match[1] ?? '')
  for (const reference of references) assert.ok(module.resources.has(reference), `${reference} is not there`)
  for (const [name, [variable]] of Object.entries(module.variables)) {
    assert.ok(variable?.description, `${name} has no description`)
    assert.ok(variable?.type, `${name} has no type`)
  }
})

test('the token of Hetzner is no variable of Terraform, so that it is in no state', async () => {
  const { text, variables } = await readModule()
  assert.match(text, /provider "hcloud" \{\}/)
  assert.ok(!Object.keys(variables).some((name) => /token|secret|password/.test(name)))
})

test('the example answers every question that has no default', async () => {
  const { variables } = await readModule()
  const example = (await parseHcl('example.tf', readFileSync(join(TERRAFORM, 'terraform.tfvars.example'), 'utf8'))) as Record<string, unknown>
  const needed = Object.entries(variables).filter(([, [variable]]) => !('default' in (variable ?? {})))
  assert.deepEqual(Object.keys(example).sort(), needed.map(([name]) => name).sort())
})

/** The template of the control server's user data, with the values that Terraform would put in. */
function renderControl(settings: Record<string, string>): string {
  const template = readFileSync(join(TERRAFORM, 'control.yaml.tftpl'), 'utf8')
  const lines = Object.entries(settings).map(([name, value]) => `      ${name}=${value}\n`)
  return template.replace(/%\{ for[^}]*~\}\n[\s\S]*?%\{ endfor ~\}\n/, lines.join('')).replaceAll(/\$\{volume_device\}/g, '/dev/disk/by-id/scsi-0HC_Volume_1')
}

test('the user data of the control server is cloud-init, and writes what compose reads', async () => {
  const settings = (await readModule()).locals.settings as Record<string, string>
  const text = renderControl(settings)
  assert.ok(text.startsWith('#cloud-config\n'))
  assert.doesNotMatch(text, /\$\{(?!var|local|hcloud|join|tostring)/, 'something of the template was not put in')
  const document = parseYaml(text) as { write_files: { path: string; content: string }[]; packages: string[]; bootcmd: string[][]; runcmd: string[][] }
  const file = document.write_files.find(({ path }) => path === '/etc/rgrid/rgrid.env')
  assert.deepEqual(
    file?.content
      .trim()
      .split('\n')
      .map((line) => line.split('=')[0])
      .sort(),
    Object.keys(settings).sort(),
  )
  assert.ok(document.packages.includes('docker-compose'))
  assert.ok(
    document.bootcmd.every(([command]) => command === 'cloud-init-per'),
    'bootcmd is of every boot',
  )
})

test('compose on the control server finds each variable that it wants in the settings', async () => {
  const settings = (await readModule()).locals.settings as Record<string, string>
  const compose = ['compose.hetzner.yaml', 'compose.external-s3.yaml'].map((name) => readFileSync(join(FOLDER, name), 'utf8')).join('\n')
  const wanted = [...compose.matchAll(/\$\{([A-Z_0-9]+)\}/g)].map((match) => match[1] ?? '')
  assert.ok(wanted.length > 10)
  for (const name of wanted) assert.ok(name in settings, `${name} is not written by Terraform`)
})

test('each variable that the control server sets is one that its process reads', async () => {
  const schemas = { gateway: GatewayEnv, scheduler: SchedulerEnv }
  for (const file of ['compose.hetzner.yaml', 'compose.external-s3.yaml']) {
    const document = parseYaml(readFileSync(join(FOLDER, file), 'utf8'), { merge: true, customTags: [{ tag: '!override', collection: 'map' }] })
    for (const [name, schema] of Object.entries(schemas)) {
      const variables = Object.keys(document.services[name].environment)
      assert.ok(variables.length > 0)
      for (const variable of variables) assert.ok(variable.replace(/_FILE$/, '') in schema.properties, `${file}: ${name} does not read ${variable}`)
    }
  }
})

/** What compose itself decides on the control server: where its own services and secrets are, and who provides machines. */
const NO_SETTINGS = [
  ...['RGRID_DATABASE_URL', 'RGRID_NATS_URL', 'RGRID_NATS_CA', 'RGRID_NATS_CREDS_FILE', 'RGRID_S3_ACCESS_KEY', 'RGRID_S3_SECRET_KEY'],
  ...['RGRID_SECRET_KEYS', 'RGRID_CLOUD', 'RGRID_HCLOUD_TOKEN', 'RGRID_LOCAL_SOCKET'],
]

test('each setting of the scheduler can be set on the control server', () => {
  const environment = Object.assign(
    {},
    ...[join(ROOT, 'compose.yaml'), join(FOLDER, 'compose.hetzner.yaml')].map((path) => servicesOf(path).scheduler?.environment),
  )
  const fixed: string[] = []
  for (const name of Object.keys(SchedulerEnv.properties)) {
    const value: unknown = environment[name] ?? environment[`${name}_FILE`]
    assert.ok(value !== undefined, `${name} is not handed to the scheduler, so that nobody can set it`)
    if (!String(value).includes('${')) fixed.push(name)
  }
  assert.deepEqual(fixed.sort(), NO_SETTINGS.sort())
})

test('compose on the control server has one default of its own, the patience with machines that boot a plain image', () => {
  const environment = servicesOf(join(FOLDER, 'compose.hetzner.yaml')).scheduler?.environment ?? {}
  const ownDefaults = Object.entries(environment).filter(([, value]) => /:-[^}]/.test(value))
  assert.deepEqual(
    ownDefaults.map(([name]) => name),
    ['RGRID_ENROL_SECONDS'],
  )
})

test('the image that is built on the control server is the one that nodes are told, and Caddy hands it out', async () => {
  const { variables } = await readModule()
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
  const image = variables.node_runner_image?.[0]?.default
  assert.equal(image, `rgrid/node-runner:${version}`)
  assert.equal(SchedulerEnv.properties.RGRID_NODE_RUNNER_IMAGE.default, image)
  const address = new URL(
    servicesOf(join(FOLDER, 'compose.hetzner.yaml')).scheduler?.environment?.RGRID_NODE_RUNNER_ARCHIVE?.replace(/\$\{API_DOMAIN\}/, 'host') ?? '',
  )
  const [, prefix = '', root = ''] = /handle_path (\S+)\* \{\s+root \* (\S+)/.exec(readFileSync(join(FOLDER, 'Caddyfile'), 'utf8')) ?? []
  assert.ok(address.pathname.startsWith(prefix))
  const saved = /file=\$\{2:-(\S+)\}/.exec(readFileSync(join(FOLDER, 'node-runner-archive.sh'), 'utf8'))?.[1]
  assert.equal(join(mountsOf('caddy').get(root) ?? '', address.pathname.slice(prefix.length)), saved)
  const deploy = readFileSync(join(FOLDER, 'deploy.sh'), 'utf8')
  assert.ok(deploy.indexOf('infra/docker/build.ts') < deploy.indexOf('node-runner-archive.sh'))
})

/** Runs check-settings.sh with an rgrid.env of these lines. */
function checkSettings(lines: readonly string[]) {
  const dir = mkdtempSync(join(tmpdir(), 'rgrid-settings-'))
  try {
    writeFileSync(join(dir, 'rgrid.env'), lines.map((line) => `${line}\n`).join(''))
    const { status, stderr } = spawnSync(join(FOLDER, 'check-settings.sh'), [dir], { encoding: 'utf8' })
    return { status, faults: stderr.replaceAll(dir, 'DIR') }
  } finally {
    rmSync(dir, { recursive: true })
  }
}

test('what Terraform writes is all read, and so are settings that are added', async () => {
  const settings = Object.keys((await readModule()).locals.settings as Record<string, string>)
  const added = ['MIN_NODES', 'IMAGE_ARCH', 'HCLOUD_SPREAD', 'NODE_GVISOR', 'RGRID_LOG_LEVEL', 'RGRID_LEASE_SECONDS', 'CADDY_IMAGE', 'POSTGRES_IMAGE']
  assert.deepEqual(checkSettings([...settings, ...added].map((name) => `${name}=1`)), { status: 0, faults: '' })
})

test('settings that nothing reads are named, and what they are called', () => {
  const { status, faults } = checkSettings(['# a comment', 'MIN_NODE=1', 'RGRID_MAX_NODES=3', 'MAX_NODES=3'])
  assert.equal(status, 1)
  assert.equal(
    faults,
    'check-settings: MIN_NODE of DIR/rgrid.env is not read by anything\n' +
      'check-settings: RGRID_MAX_NODES of DIR/rgrid.env is not read: it is called MAX_NODES here\n',
  )
})

interface Service {
  command?: string[]
  environment?: Record<string, string>
  volumes?: string[]
}

/** A compose file's services. */
function servicesOf(path: string): Record<string, Service> {
  return parseYaml(readFileSync(path, 'utf8'), { merge: true }).services
}

/** Path in the container → path on the machine, of both compose files. */
function mountsOf(name: string): Map<string, string> {
  const volumes = [join(ROOT, 'compose.yaml'), join(FOLDER, 'compose.hetzner.yaml')].flatMap((path) => servicesOf(path)[name]?.volumes ?? [])
  return new Map(volumes.map((volume) => volume.split(':')).map(([source = '', target = '']) => [target, source]))
}

test('NATS has the configuration with TLS, and in its container what that names', () => {
  const mounts = mountsOf('nats')
  const [, conf = ''] = servicesOf(join(FOLDER, 'compose.hetzner.yaml')).nats?.command ?? []
  const text = readFileSync(join(ROOT, mounts.get(conf) ?? ''), 'utf8')
  assert.match(text, /^tls \{[^}]*handshake_first: true/m)
  const [, included = ''] = /^include "(.*)"$/m.exec(text) ?? []
  assert.equal(mounts.get(join(dirname(conf), included)), './infra/nats/nats-server.conf')
  const made = natsCertificates()
  for (const name of ['cert_file', 'key_file']) {
    const [, path = ''] = new RegExp(`${name}: "(.*)"`).exec(text) ?? []
    const folder = mounts.get(dirname(path)) ?? ''
    assert.ok(existsSync(join(made.dir, relative('/etc/rgrid', folder), basename(path))), `${path} is nowhere`)
  }
  assert.ok(![...mounts.values()].some((source) => source.includes('nats-ca')), 'the key of the CA has no business there')
})

test('who connects to NATS does so by TLS, by a name of the certificate and with the CA', () => {
  const made = natsCertificates()
  const certificate = new X509Certificate(readFileSync(join(made.serverDir, 'server.pem')))
  const services = servicesOf(join(FOLDER, 'compose.hetzner.yaml'))
  for (const name of ['gateway', 'scheduler']) {
    const { RGRID_NATS_URL: url = '', RGRID_NATS_CA_FILE: ca = '' } = services[name]?.environment ?? {}
    assert.equal(new URL(url).protocol, 'tls:')
    assert.ok(certificate.checkHost(new URL(url).hostname))
    assert.equal(mountsOf(name).get(ca), join('/etc/rgrid', relative(made.dir, made.caFile)))
  }
  // PUBLIC_HOST is what the script takes, too.
  const nodes = services.gateway?.environment?.RGRID_NATS_NODE_URL ?? ''
  assert.match(nodes, /^tls:\/\/\$\{PUBLIC_HOST\}:/)
  assert.ok(certificate.checkIP(CONTROL_IP))
})

test('the certificate is there before NATS is, and the machine has what makes it', () => {
  const deploy = readFileSync(join(FOLDER, 'deploy.sh'), 'utf8')
  const at = (text: string) => deploy.indexOf(text)
  assert.ok(at('rsync ') < at('infra/hetzner/nats-certificate.sh') && at('infra/hetzner/nats-certificate.sh') < at(' up -d'))
  assert.match(readFileSync(join(TERRAFORM, 'control.yaml.tftpl'), 'utf8'), /^packages: \[.*\bopenssl\b/m)
  assert.match(readFileSync(join(TERRAFORM, 'network.tf'), 'utf8'), new RegExp(`control_ip += "${CONTROL_IP}"`))
})

test('nodes are behind the firewall of the label that the scheduler gives them', async () => {
  const { text } = await readModule()
  const selector = /resource "hcloud_firewall" "nodes"[\s\S]*?label_selector = "([a-z-]+)=\$\{var.installation\}"/.exec(text)?.[1]
  assert.equal(selector, 'rgrid-installation')
  assert.match(readFileSync(join(FOLDER, '../../scheduler/cloud/hetzner.ts'), 'utf8'), /labels: \{ 'rgrid-installation': installation/)
})

test('the recipe of the snapshot can be read, and its script names what it is given', async () => {
  const recipe = readFileSync(join(FOLDER, 'snapshot/node.pkr.hcl'), 'utf8')
  const parsed = (await parseHcl('node.pkr.hcl', recipe)) as { variable: Record<string, object>; build: { provisioner: { shell: { script: string }[] } }[] }
  assert.deepEqual([...namesAfter('var', recipe)].sort(), Object.keys(parsed.variable).sort())
  const script = readFileSync(join(FOLDER, 'snapshot', parsed.build[0]?.provisioner.shell[0]?.script ?? ''), 'utf8')
  for (const name of ['IMAGES', 'GVISOR']) assert.match(script, new RegExp(`\\$${name}\\b`))
})
