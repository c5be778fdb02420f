import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
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

/** All files of the Terraform module, put together as Terraform does. */
async function readModule(): Promise<Module> {
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
