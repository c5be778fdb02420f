/** How one image comes to be on this machine. */
export interface ImageEntry {
  /** The official image, used where it is there or a registry gives it. Absent: always our own build. */
  official?: string
  /** The tag of our own build from Debian's packages; never an official name. */
  build: string
  /** Folder of the Dockerfile under infra/images; absent for a base made by mmdebstrap. */
  folder?: string
  /** For a base: the Debian release it holds. */
  suite?: 'bookworm' | 'trixie'
  /** The image the Dockerfile's ARG BASE stands for. */
  base?: ImageName
  /** The checkout's Node 24 binary is put into the build context as `node`. */
  withNode?: true
}

/** The images of a local installation by name. */
export type ImageName = 'bookworm' | 'trixie' | 'postgres' | 'nats' | 's3' | 'python' | 'ffmpeg' | 'node' | 'bash'

/**
 * Every image a local installation needs. Services are built from trixie (PostgreSQL 17, NATS 2.10, radosgw 18),
 * runtimes from bookworm, whose Python is 3.11.
 */
export const IMAGES: Readonly<Record<ImageName, ImageEntry>> = {
  bookworm: { build: 'rgrid/base:bookworm', suite: 'bookworm' },
  trixie: { build: 'rgrid/base:trixie', suite: 'trixie' },
  postgres: { official: 'docker.io/library/postgres:17', build: 'rgrid/postgres:17', folder: 'postgres', base: 'trixie' },
  nats: { official: 'docker.io/library/nats:2.10-alpine', build: 'rgrid/nats:2.10', folder: 'nats', base: 'trixie' },
  s3: { official: 'docker.io/chrislusf/seaweedfs:4.47', build: 'rgrid/radosgw:18', folder: 's3', base: 'trixie' },
  python: { official: 'docker.io/library/python:3.11-slim', build: 'rgrid/python:3.11', folder: 'python', base: 'bookworm' },
  ffmpeg: { build: 'rgrid/ffmpeg:latest', folder: 'ffmpeg', base: 'python' },
  node: { official: 'docker.io/library/node:24-slim', build: 'rgrid/node:24', folder: 'node', base: 'bookworm', withNode: true },
  bash: { official: 'docker.io/library/debian:bookworm-slim', build: 'rgrid/bash:latest', folder: 'bash', base: 'bookworm' },
}

/** The runtimes of the platform's table that are made ready beforehand, by the image that serves them. */
export const RUNTIME_IMAGES: Readonly<Record<string, ImageName>> = {
  'python:3.11': 'python',
  'ffmpeg:latest': 'ffmpeg',
  'node:24': 'node',
  bash: 'bash',
}
