import assert from 'node:assert/strict'
import { test } from 'node:test'
import { imageName, namesRegistry, registryServer } from '#core/image-name.ts'

const HEX = 'a'.repeat(64)
const NAMES: Record<string, [string, string]> = {
  alpine: ['docker.io', 'docker.io/library/alpine'],
  'alpine:3.20': ['docker.io', 'docker.io/library/alpine'],
  'acme/tool': ['docker.io', 'docker.io/acme/tool'],
  'docker.io/alpine:3.20': ['docker.io', 'docker.io/library/alpine'],
  'docker.io/acme/tool:1': ['docker.io', 'docker.io/acme/tool'],
  'index.docker.io/acme/tool:1': ['docker.io', 'docker.io/acme/tool'],
  'ghcr.io/acme/tool:1': ['ghcr.io', 'ghcr.io/acme/tool'],
  [`ghcr.io/acme/tool@sha256:${HEX}`]: ['ghcr.io', 'ghcr.io/acme/tool'],
  [`ghcr.io/acme/tool:1@sha256:${HEX}`]: ['ghcr.io', 'ghcr.io/acme/tool'],
  'registry:5000/tool': ['registry:5000', 'registry:5000/tool'],
  '127.0.0.1:5000/a/b/c:1': ['127.0.0.1:5000', '127.0.0.1:5000/a/b/c'],
  'localhost/tool': ['localhost', 'localhost/tool'],
  [`sha256:${HEX}`]: ['docker.io', 'docker.io/library/sha256'],
}

test('an image reference names a registry and a repository', () => {
  for (const [reference, [registry, repository]] of Object.entries(NAMES)) assert.deepEqual(imageName(reference), { registry, repository }, reference)
})

test('a registry is known by one name, however it is written', () => {
  for (const text of ['docker.io', 'https://index.docker.io/v1/', 'registry-1.docker.io', 'Docker.IO']) assert.equal(registryServer(text), 'docker.io', text)
  assert.equal(registryServer('https://GHCR.io/acme'), 'ghcr.io')
  assert.equal(registryServer('registry.example.com:5000'), 'registry.example.com:5000')
})

test('a reference names its registry when its first part can only be a host', () => {
  for (const reference of ['ghcr.io/acme/tool:1', 'docker.io/acme/tool', 'localhost/tool', 'registry:5000/tool@sha256:0'])
    assert.ok(namesRegistry(reference), reference)
  for (const reference of ['tool', 'tool:1.2', 'acme/tool:1.2', 'rgrid/node-runner:0.1.0']) assert.ok(!namesRegistry(reference), reference)
})
