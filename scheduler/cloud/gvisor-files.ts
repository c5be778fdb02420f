import { root } from './boot-files.ts'
import type { BootFile } from './user-data.ts'

/**
 * A dated release of gVisor (https://gvisor.dev/docs/user_guide/install/#specific-release) and the SHA-256 of its `runsc`, by `uname -m`.
 * They are here, and not asked of the server that has the files, so that a changed file there is not run as root on every node.
 * To change the release, change all three; newer ones are archives with more than `runsc` in them.
 */
export const GVISOR = {
  release: '20260622',
  sha256: {
    x86_64: 'f18a948bf9c8bbb54eb998549a3a8d719a1c7de2efbe8fdd2ff0ee5fecd06f19',
    aarch64: '62eee121f8c188e347c428acc96f111568ede3be37b906046b6f28bbe2cc40c0',
  },
} as const

/** The name of gVisor's runtime in the engine. */
export const GVISOR_RUNTIME = 'runsc'

/**
 * gVisor as what containers run under, unless they say otherwise. Docker starts it by its own shim, so that `runsc` is all it needs.
 * Where it cannot be installed the engine's default stays, and the runner's unit does not start (`jobRuntime`).
 */
export function gvisorFiles(): BootFile[] {
  return [
    root('/usr/local/sbin/rgrid-gvisor', '0755', [
      '#!/bin/sh',
      'set -eu',
      'if ! command -v runsc; then',
      '  machine=$(uname -m)',
      '  case $machine in',
      ...Object.entries(GVISOR.sha256).map(([machine, digest]) => `    ${machine}) sha256=${digest} ;;`),
      '    *) echo "gVisor is not known for $machine" >&2; exit 1 ;;',
      '  esac',
      '  cd "$(mktemp -d -p /var/tmp)"',
      '  curl --fail --silent --show-error --location --proto =https --retry 5 --output runsc \\',
      `    "https://storage.googleapis.com/gvisor/releases/release/${GVISOR.release}/$machine/runsc"`,
      '  echo "$sha256  runsc" | sha256sum --check --quiet',
      '  install -m 0755 runsc /usr/local/bin/',
      '  rm runsc',
      'fi',
      // Only now: an engine whose default runtime is missing starts nothing.
      'mkdir -p /etc/docker',
      'cat > /etc/docker/daemon.json <<END',
      `{"runtimes": {"${GVISOR_RUNTIME}": {"path": "$(command -v runsc)"}}, "default-runtime": "${GVISOR_RUNTIME}"}`,
      'END',
      'systemctl restart docker.service',
    ]),
  ]
}
