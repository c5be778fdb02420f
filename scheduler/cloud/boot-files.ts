import { POWER_OFF_STATUS } from '#core/node.ts'
import type { BootFile } from './user-data.ts'

const METADATA = '169.254.169.254'
const RUNNER_IMAGE_SCRIPT = '/usr/local/sbin/rgrid-image'

/** A file of root's, of these lines. */
export const root = (path: string, permissions: string, lines: readonly string[]): BootFile => ({
  path,
  permissions,
  owner: 'root:root',
  content: `${lines.join('\n')}\n`,
})

/** Nothing is upgraded behind a job's back: such a machine is replaced within hours. */
export function quietAptFiles(): BootFile[] {
  return [
    root('/etc/apt/apt.conf.d/99-rgrid', '0644', [
      'APT::Periodic::Enable "0";',
      'APT::Periodic::Update-Package-Lists "0";',
      'APT::Periodic::Unattended-Upgrade "0";',
      'DPkg::Lock::Timeout "120";',
    ]),
  ]
}

/** Installs the engine where the machine's image lacks it. */
export function engineFiles(): BootFile[] {
  return [
    root('/usr/local/sbin/rgrid-engine', '0755', [
      '#!/bin/sh',
      'set -eu',
      'if command -v dockerd && command -v docker && command -v iptables && command -v curl; then exit 0; fi',
      'export DEBIAN_FRONTEND=noninteractive',
      // The network may still be on its way up.
      'for pause in 2 5 10 20 0; do',
      // Newer releases have the command in a package of its own, which docker.io only recommends.
      '  if apt-get update -q && cli=$(apt-cache show docker-cli > /dev/null 2>&1 && echo docker-cli || true) \\',
      '    && apt-get install -qy --no-install-recommends docker.io $cli iptables curl ca-certificates; then exit 0; fi',
      '  sleep "$pause"',
      'done',
      'exit 1',
    ]),
  ]
}

/**
 * Takes the metadata service away from the whole machine, which tells the user data to whoever asks. A route that leads nowhere
 * is enough; the rules are there for the day that somebody adds another. cloud-init has read it by then, and a boot makes all
 * anew. The runner's unit requires this one: without the rules there is no job.
 */
export function metadataFiles(): BootFile[] {
  return [
    root('/usr/local/sbin/rgrid-metadata', '0755', [
      '#!/bin/sh',
      'set -eu',
      `ip route replace blackhole ${METADATA}/32`,
      'for chain in DOCKER-USER INPUT OUTPUT; do',
      `  iptables -w -C "$chain" -d ${METADATA}/32 -j DROP 2>/dev/null || iptables -w -I "$chain" 1 -d ${METADATA}/32 -j DROP`,
      'done',
    ]),
    root('/etc/systemd/system/rgrid-metadata.service', '0644', [
      '[Unit]',
      'Description=No metadata service for jobs',
      'Requires=docker.service',
      'After=docker.service network-online.target',
      'PartOf=docker.service',
      '',
      '[Service]',
      'Type=oneshot',
      'RemainAfterExit=yes',
      'ExecStart=/usr/local/sbin/rgrid-metadata',
      '',
      '[Install]',
      'WantedBy=multi-user.target',
    ]),
  ]
}

/**
 * Loads the node-runner's image where the machine's image lacks it: from the archive (`docker save`) at this address, which is
 * trusted as the gateway's is, by HTTPS. Ends with an error, and is tried again by the unit, unless the image is there afterwards.
 */
export function runnerImageFile(image: string, archiveUrl: string): BootFile {
  return root(RUNNER_IMAGE_SCRIPT, '0755', [
    '#!/bin/sh',
    'set -eu',
    `has_image() { docker image inspect ${image} > /dev/null 2>&1; }`,
    'if has_image; then exit 0; fi',
    // Not in /tmp, which may be memory.
    'archive=$(mktemp -p /var/tmp)',
    `trap 'rm -f "$archive"' EXIT`,
    `curl --fail --silent --show-error --proto =https --retry 5 --max-time 600 --output "$archive" ${archiveUrl}`,
    'docker load --quiet --input "$archive"',
    `has_image || { echo "the archive does not hold ${image}" >&2; exit 1; }`,
  ])
}

/** How the node-runner is started. */
export interface RunnerStart {
  image: string
  envPath: string
  /** Whether it may be pulled, as it names its registry: without one anybody could have that name at Docker Hub. */
  pull: boolean
  /** Whether the script of `runnerImageFile` brings it. */
  load: boolean
  /** The runtime that jobs must run under: with another one as the engine's default the runner does not start. */
  jobRuntime: string | null
}

/**
 * The unit of the node-runner: its container as compose.yaml has it, with the engine's plain runtime whatever jobs run under.
 * One that ends with the power-off status, or starts in vain for ten minutes, has no control plane: the machine goes off.
 */
export function runnerUnit({ image, envPath, pull, load, jobRuntime }: RunnerStart): BootFile {
  const options = [
    ...(pull ? [] : ['--pull never']),
    '--rm --name rgrid-node --runtime runc --network host --stop-timeout 60',
    '--cap-drop ALL --cap-add SYS_ADMIN --cap-add NET_ADMIN --cap-add NET_RAW --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER',
    '--device-cgroup-rule "b 7:* rmw" --device-cgroup-rule "c 10:237 rmw"',
    '--security-opt apparmor=unconfined --security-opt no-new-privileges',
    '--log-driver json-file --log-opt max-size=10m --log-opt max-file=3',
    `--env-file ${envPath}`,
    '-v /var/run/docker.sock:/var/run/docker.sock -v /dev:/dev -v /var/lib/rgrid/node:/var/lib/rgrid/node:rshared',
  ]
  return root('/etc/systemd/system/rgrid-node.service', '0644', [
    '[Unit]',
    'Description=RGrid node-runner',
    'Requires=docker.service rgrid-metadata.service',
    'After=docker.service rgrid-metadata.service network-online.target',
    'Wants=network-online.target',
    'StartLimitIntervalSec=600',
    'StartLimitBurst=30',
    'StartLimitAction=poweroff',
    '',
    '[Service]',
    'ExecStartPre=/bin/mkdir -p -m 0700 /var/lib/rgrid/node',
    ...(jobRuntime === null ? [] : [`ExecStartPre=/bin/sh -c '[ "$$(docker info --format {{.DefaultRuntime}})" = ${jobRuntime} ]'`]),
    ...(load ? [`ExecStartPre=${RUNNER_IMAGE_SCRIPT}`] : []),
    'ExecStartPre=-/usr/bin/docker rm -f rgrid-node',
    `ExecStart=/usr/bin/docker run ${options.join(' \\\n  ')} \\\n  ${image}`,
    'ExecStop=/usr/bin/docker stop rgrid-node',
    `ExecStopPost=/bin/sh -c '[ "$$EXIT_STATUS" != ${POWER_OFF_STATUS} ] || systemctl poweroff'`,
    `RestartPreventExitStatus=${POWER_OFF_STATUS}`,
    'Restart=always',
    'RestartSec=10',
    // The image may take its time.
    'TimeoutStartSec=900',
    'TimeoutStopSec=90',
    '',
    '[Install]',
    'WantedBy=multi-user.target',
  ])
}
