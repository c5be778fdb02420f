import { join } from 'node:path'
import { enrolTokenPath, objectsEnv } from './prepare.ts'
import type { ProcessName } from './processes.ts'
import { type Connections, secretPath } from './secrets.ts'
import type { Settings } from './settings.ts'

/** What each process is told: the variables that are its own. */
export function processEnv(settings: Settings, connections: Connections): Record<ProcessName, Record<string, string>> {
  const trust = (file: string) => join(connections.trustDir, file)
  const objects = objectsEnv(settings, connections)
  const natsCaFile = settings.given.nats?.caFile
  const nats = { RGRID_NATS_URL: connections.natsUrl, ...(natsCaFile === undefined ? {} : { RGRID_NATS_CA_FILE: natsCaFile }) }
  return {
    gateway: {
      RGRID_LISTEN: `127.0.0.1:${settings.ports.api.number}`,
      RGRID_DATABASE_URL_FILE: secretPath(settings, 'gateway-database-url'),
      ...nats,
      RGRID_NATS_CREDS_FILE: trust('gateway.creds'),
      RGRID_NATS_NODE_URL: connections.natsUrl,
      RGRID_NATS_ACCOUNT_FILE: trust('account.pub'),
      RGRID_NATS_SIGNING_SEED_FILE: trust('signing.seed'),
      RGRID_RUNTIMES_FILE: join(settings.stateDir, 'runtimes.json'),
      RGRID_SECRET_KEYS_FILE: secretPath(settings, 'secret-keys'),
      ...objects,
    },
    scheduler: {
      RGRID_DATABASE_URL_FILE: secretPath(settings, 'scheduler-database-url'),
      ...nats,
      RGRID_NATS_CREDS_FILE: trust('scheduler.creds'),
      RGRID_SECRET_KEYS_FILE: secretPath(settings, 'secret-keys'),
      ...metricsAt(1),
      ...objects,
      ...(settings.nodes === 'here' ? {} : { RGRID_NODE_API_URL: process.env.RGRID_NODE_API_URL || connections.apiUrl }),
      ...(settings.nodes === 'local' ? localCloud(settings) : {}),
    },
    'node-runner': {
      RGRID_API_URL: connections.apiUrl,
      RGRID_ENROL_TOKEN_FILE: enrolTokenPath(settings),
      RGRID_NODE_DIR: join(settings.stateDir, 'node'),
      RGRID_NODE_NAME: process.env.RGRID_NODE_NAME || 'local',
      ...metricsAt(2),
      // Whoever stops a local platform does not want to wait a minute for its jobs: they are handed back.
      RGRID_DRAIN_SECONDS: process.env.RGRID_DRAIN_SECONDS || '3',
    },
    machines: {
      RGRID_MACHINES_DIR: machinesDir(settings),
      RGRID_MACHINES_SOCKET: machinesSocket(settings),
      RGRID_MACHINES_INSTANCE: settings.instance,
    },
  }
}

/** Where the folders of local machines are. */
export function machinesDir(settings: Settings): string {
  return join(settings.stateDir, 'machines')
}

function machinesSocket(settings: Settings): string {
  return join(settings.stateDir, 'run', 'machines.sock')
}

// What an operator says holds; for the rest a machine that costs nothing need not stay for an hour.
function localCloud(settings: Settings): Record<string, string> {
  return {
    RGRID_LOCAL_SOCKET: machinesSocket(settings),
    RGRID_INSTALLATION: process.env.RGRID_INSTALLATION || `local-${settings.instance}`,
    RGRID_NODE_KEEP: process.env.RGRID_NODE_KEEP || 'idle',
    RGRID_NODE_IDLE_SECONDS: process.env.RGRID_NODE_IDLE_SECONDS || '60',
  }
}

// All processes read the same variable: here, on one machine, the others' metrics have the ports after the gateway's.
function metricsAt(offset: number): Record<string, string> {
  const [, host, port] = /^(.+):(\d+)$/.exec(process.env.RGRID_METRICS_LISTEN ?? '') ?? []
  return port === undefined ? {} : { RGRID_METRICS_LISTEN: `${host}:${Number(port) + offset}` }
}
