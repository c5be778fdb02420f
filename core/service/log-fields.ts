/**
 * Every field that a log line may have, with its meaning: an allow-list, so that what nobody thought of is not written.
 * Nothing here may hold a credential, what a user sent, or what a job printed. Names stand for one thing each.
 */
export const LOG_FIELDS = {
  // Set by the log itself.
  level: 'how bad it is, as pino numbers it',
  time: 'when, RFC 3339 in UTC',
  pid: 'process id',
  name: 'which process: gateway, scheduler, node-runner',
  msg: 'what happened; a constant sentence',
  dropped: 'names of fields that were given and are not in this list',

  // What it is about.
  requestId: 'id of a request, as its answer has it in X-Request-Id',
  traceId: 'trace that the request or job belongs to (docs/TRACING.md)',
  jobId: 'job',
  attemptId: 'attempt',
  nodeId: 'node',
  keyId: 'id (not the key) of the API key that asked',
  deliveryId: 'webhook delivery',
  endpointId: 'webhook endpoint',
  serverId: 'machine, as its provider names it',
  issuerHost: 'server of an OpenID issuer',

  // A change of state.
  from: 'state before',
  to: 'state now',
  cause: 'why an attempt, job or endpoint ended, of a closed list',
  exitCode: 'of the command of a job',
  why: 'why something is stopped, held or decided, in words of ours',
  kind: 'which of several kinds, a constant',
  type: 'type of an event, or class of an error',
  status: 'status of an answer: of HTTP, of a report, of the bus connection',

  // A machine.
  cell: 'type of machine at a place, such as cx23@fsn1',
  code: 'what a provider of machines calls an error',

  // A request.
  method: 'of HTTP',
  route: 'pattern of the route, never the address',
  ms: 'how long it took, milliseconds',

  // What went wrong.
  error: 'what an error says; addresses in it are without credentials and query',
  err: 'an error that a library logs: type, message, stack',
  message: 'of such an error; of a migration',
  stack: 'where it was thrown',
  fault: 'class of an error whose text may hold a secret',
  detail: 'what the bus client says of its connection; how a limit is met',
  check: 'which part of the readiness check failed',
  server: 'which server is waited for, a constant',

  // Parts of a process.
  service: 'service that did not stop',
  services: 'services that were started',
  loop: 'loop whose round failed',
  signal: 'signal that ends the process',
  stopTimeoutMs: 'how long stopping may take',
  silentMs: 'for how long nobody has answered',
  limitMs: 'how long it may be so',
  step: 'step of the retention',
  subject: 'subject of a bus message: ids and constants',
  migrations: 'migrations that were run',
  bucket: 'bucket of the object store',
  path: 'file of ours on the node',

  // Counts.
  attempts: 'attempts concerned',
  claims: 'claims concerned',
  jobs: 'jobs concerned',
  nodes: 'nodes that are known',
  hours: 'paid hours of machines that were closed',
  silent: 'nodes that are silent',
  running: 'attempts that a node runs',
  spans: 'spans of traces',
  deleted: 'objects that were deleted',
  failed: 'objects that could not be deleted',
  removed: 'what was removed: how many, or names of ours',
  images: 'references of images',
  unfinished: 'attempts of an earlier run to go on with',
  unarchived: 'logs that are to be archived, or went with their machine',
  diskFull: 'whether the disk is too full to take work',
} as const satisfies Readonly<Record<string, string>>
