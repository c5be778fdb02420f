/** What an image is called in full, by the rules of Docker (https://pkg.go.dev/github.com/distribution/reference, ParseNormalizedNamed). */
export interface ImageName {
  /** Host, with its port if there is one: `docker.io` when the reference names none. */
  registry: string
  /** `docker.io/library/alpine`: registry and path, without tag and digest. */
  repository: string
}

const DOCKER_HUB = 'docker.io'
/** Other names of Docker Hub: of old references, of its API, and what `docker login` stores. */
const HUB_NAMES = new Set([DOCKER_HUB, 'index.docker.io', 'registry-1.docker.io'])

/** Takes an image reference apart: `alpine:3.20`, `ghcr.io/acme/tool@sha256:…`, a name and digest as the engine lists it. */
export function imageName(reference: string): ImageName {
  const name = reference.replace(/@.*$/, '').replace(/:[^:/]*$/, '')
  const slash = name.indexOf('/')
  const first = slash === -1 ? '' : name.slice(0, slash)
  const isHost = isRegistryHost(first)
  const registry = isHost ? registryServer(first) : DOCKER_HUB
  const path = isHost ? name.slice(slash + 1) : name
  return { registry, repository: `${registry}/${registry === DOCKER_HUB && !path.includes('/') ? `library/${path}` : path}` }
}

/** Whether a reference says itself which registry it is in: `ghcr.io/acme/tool` and `docker.io/acme/tool` do, `acme/tool` does not. */
export function namesRegistry(reference: string): boolean {
  return isRegistryHost(reference.includes('/') ? reference.replace(/\/.*$/, '') : '')
}

function isRegistryHost(first: string): boolean {
  return /[.:A-Z]/.test(first) || first === 'localhost'
}

/** The one name of an image by which two references to the same tag, or the same digest, can be compared: `docker.io/library/alpine:3.20`. */
export function imageKey(reference: string): string {
  const digest = /@.*$/.exec(reference)?.[0]
  const tag = /:[^:/]*$/.exec(reference.replace(/@.*$/, ''))?.[0]
  return `${imageName(reference).repository}${digest ?? tag ?? ':latest'}`
}

/** A registry as people write it (`https://index.docker.io/v1/`, `GHCR.io`) by the one name that we know it by. */
export function registryServer(text: string): string {
  const host = text
    .replace(/^https?:\/\//, '')
    .replace(/\/.*$/, '')
    .toLowerCase()
  return HUB_NAMES.has(host) ? DOCKER_HUB : host
}
