import { createHash } from 'node:crypto'
import { createServer } from 'node:net'
import type Docker from 'dockerode'
import { lastLines } from './command.ts'
import { readContainerLog } from './container-log.ts'
import { say } from './progress.ts'
import { stateId } from './secrets.ts'
import type { Port, Settings } from './settings.ts'

const INSTANCE_LABEL = 'rgrid.instance'
const SPEC_LABEL = 'rgrid.spec'
const STOP_SECONDS = 15

/** One backing service as a container: one port, published on 127.0.0.1 only. */
export interface ServiceContainer {
  name: string
  image: string
  entrypoint?: string[]
  cmd?: string[]
  env?: Readonly<Record<string, string>>
  /** Path in the container → path here. */
  files: Readonly<Record<string, { path: string; writable?: true }>>
  containerPort: number
  port: Port
  /** Linux capabilities; absent: the engine's default set. */
  capabilities?: string[]
  readOnly?: true
}

/**
 * Makes the container run as described: one that already does is left alone, one that is stopped is started, one made
 * from another image or with other options is replaced. Throws naming the variable when its port is taken.
 */
export async function runContainer(settings: Settings, docker: Docker, service: ServiceContainer): Promise<Docker.Container> {
  const name = `rgrid-${settings.instance}-${service.name}`
  const imageId = (await docker.getImage(service.image).inspect()).Id
  const spec = createHash('sha256')
    .update(JSON.stringify([service, imageId, stateId(settings)]))
    .digest('hex')
    .slice(0, 16)
  const old = await inspect(docker, name)
  if (old?.Config.Labels[SPEC_LABEL] === spec && old.State.Running) return docker.getContainer(old.Id)
  if (old) await removeContainer(docker, old.Id)
  await checkPort(service.port, service.name)
  const container = await docker.createContainer(createOptions(settings, service, name, spec))
  await container.start()
  say(`container ${name} started (${service.image}, 127.0.0.1:${service.port.number})`)
  return container
}

/** Stops and removes every container of this instance; data stays in the state folder. */
export async function removeContainers(settings: Settings, docker: Docker): Promise<string[]> {
  const found = await docker.listContainers({ all: true, filters: { label: [`${INSTANCE_LABEL}=${settings.instance}`] } })
  await Promise.all(found.map((container) => removeContainer(docker, container.Id)))
  return found.map((container) => container.Names[0]?.slice(1) ?? container.Id)
}

/** Throws with the container's last output unless it is running. */
export async function assertRunning(container: Docker.Container): Promise<void> {
  const state = (await container.inspect()).State
  if (state.Running) return
  const output = await readContainerLog(container, { stdout: true, stderr: true, tail: 20 })
  throw new Error(`the container ended with exit code ${state.ExitCode}:\n${lastLines(output, 20)}`)
}

function createOptions(settings: Settings, service: ServiceContainer, name: string, spec: string): Docker.ContainerCreateOptions {
  const portKey = `${service.containerPort}/tcp`
  return {
    name,
    Image: service.image,
    ...(service.entrypoint ? { Entrypoint: service.entrypoint } : {}),
    ...(service.cmd ? { Cmd: service.cmd } : {}),
    Env: Object.entries(service.env ?? {}).map(([key, value]) => `${key}=${value}`),
    Labels: { [INSTANCE_LABEL]: settings.instance, [SPEC_LABEL]: spec },
    ExposedPorts: { [portKey]: {} },
    StopTimeout: STOP_SECONDS,
    HostConfig: {
      PortBindings: { [portKey]: [{ HostIp: '127.0.0.1', HostPort: String(service.port.number) }] },
      Mounts: Object.entries(service.files).map(([Target, { path, writable }]) => ({ Type: 'bind', Source: path, Target, ReadOnly: !writable })),
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '2' } },
      SecurityOpt: ['no-new-privileges=true'],
      ShmSize: 256 * 1024 * 1024,
      ReadonlyRootfs: service.readOnly ?? false,
      ...(service.capabilities ? { CapDrop: ['ALL'], CapAdd: service.capabilities } : {}),
    },
  }
}

async function inspect(docker: Docker, name: string): Promise<Docker.ContainerInspectInfo | undefined> {
  try {
    return await docker.getContainer(name).inspect()
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return undefined
    throw error
  }
}

/** Ends a container, killed after `stopSeconds`, and removes it; one that is gone already is as wanted. */
export async function removeContainer(docker: Docker, id: string, stopSeconds = STOP_SECONDS): Promise<void> {
  const container = docker.getContainer(id)
  // Already stopped (304) or gone (404) is what is wanted.
  await container.stop({ t: stopSeconds }).catch(() => undefined)
  await container.remove({ v: true, force: true }).catch((error: { statusCode?: number }) => {
    if (error.statusCode !== 404 && error.statusCode !== 409) throw error
  })
}

/** Throws, naming the variable that changes it, when something else listens on the port. */
export async function checkPort(port: Port, what: string): Promise<void> {
  const server = createServer()
  try {
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port.number, '127.0.0.1', resolve))
  } catch (error) {
    throw new Error(`port ${port.number} (${what}) cannot be used: ${(error as Error).message}. Set ${port.variable} to a free port`)
  }
  await new Promise((resolve) => server.close(resolve))
}
