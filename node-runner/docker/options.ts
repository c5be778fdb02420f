import type { ContainerCreateOptions } from 'dockerode'
import type { Assignment } from '#bus/messages/claim.ts'

/** The user that jobs run as: nobody. It owns the work folder. */
export const JOB_UID = 65_534

/** Labels that say whose a container is. */
export const LABELS = { attempt: 'rgrid.attempt', job: 'rgrid.job', node: 'rgrid.node', dir: 'rgrid.dir' } as const

const MI = 2 ** 20

/** What the container is made of besides its assignment. */
export interface Sandbox {
  nodeId: string
  /** The image as the engine knows it. */
  imageId: string
  /** The work folder on the machine. */
  workDir: string
  /** The bridge for jobs with network; null: no network at all. */
  network: string | null
  /** How much of its output the runner keeps. */
  maxLogBytes: number
  /** The runner's folder: whose the container is, should the runner get another identity. */
  dir: string
  /** Added to the job's environment. */
  env?: Readonly<Record<string, string>>
}

/** What the container of an attempt is called. */
export function containerName(attemptId: string): string {
  return `rgrid-${attemptId}`
}

/** The hardened container of a job. Pure: docs/SECURITY.md says why each option is there. */
export function containerOptions(job: Assignment, sandbox: Sandbox): ContainerCreateOptions {
  const { spec } = job
  const hasCommand = spec.command !== null
  return {
    name: containerName(job.attemptId),
    Image: sandbox.imageId,
    // As in Kubernetes: the command takes the place of the entrypoint, args that of the image's arguments.
    ...(hasCommand ? { Entrypoint: spec.command ?? [], Cmd: spec.args } : spec.args.length > 0 ? { Cmd: spec.args } : {}),
    Env: Object.entries(jobEnv(job, sandbox.env ?? {})).map(([name, value]) => `${name}=${value}`),
    WorkingDir: '/work',
    User: `${JOB_UID}:${JOB_UID}`,
    Hostname: job.jobId.slice(-12),
    Labels: { [LABELS.attempt]: job.attemptId, [LABELS.job]: job.jobId, [LABELS.node]: sandbox.nodeId, [LABELS.dir]: sandbox.dir },
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    OpenStdin: false,
    Tty: false,
    // Without a network Docker need not set one up, which halves the start time.
    NetworkDisabled: sandbox.network === null,
    HostConfig: {
      ...(sandbox.network === null ? {} : { NetworkMode: sandbox.network }),
      Binds: [`${sandbox.workDir}:/work:rw`],
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges=true'],
      Privileged: false,
      PidsLimit: 512,
      Memory: spec.memoryBytes,
      // The same as Memory: no swap.
      MemorySwap: spec.memoryBytes,
      NanoCpus: spec.cpuMillis * 1_000_000,
      OomScoreAdj: 500,
      Ulimits: [
        { Name: 'nofile', Soft: 4096, Hard: 4096 },
        { Name: 'core', Soft: 0, Hard: 0 },
      ],
      Tmpfs: { '/tmp': `rw,nosuid,nodev,exec,mode=1777,size=${Math.min(Math.floor(spec.memoryBytes / 2), 256 * MI)}` },
      ShmSize: Math.min(Math.floor(spec.memoryBytes / 4), 64 * MI),
      IpcMode: 'private',
      // A process 1 that reaps orphans and lets SIGTERM through to programs that do not handle it.
      Init: true,
      AutoRemove: false,
      RestartPolicy: { Name: 'no' },
      // The runner is attached and keeps the log itself; this copy is for a runner that was killed meanwhile. Binary, bounded,
      // and large enough that what the runner keeps is whole in it, lines of a few bytes and all (docs/adr/0008).
      LogConfig: { Type: 'local', Config: { 'max-size': `${4 * sandbox.maxLogBytes}`, 'max-file': '2', compress: 'false' } },
    },
  }
}

/** What a job finds in its environment: its own and the runtime's variables and its secrets, then ours, which win. */
export function jobEnv(job: Assignment, extra: Readonly<Record<string, string>>): Record<string, string> {
  return {
    HOME: '/tmp',
    ...job.spec.env,
    ...job.secrets?.env,
    ...extra,
    RGRID_JOB_ID: job.jobId,
    RGRID_ATTEMPT: String(job.attemptNumber),
    RGRID_PROJECT: job.project,
    ...(job.batchId === null ? {} : { RGRID_BATCH_ID: job.batchId, RGRID_BATCH_INDEX: String(job.batchIndex), RGRID_BATCH_SIZE: String(job.batchSize) }),
  }
}
