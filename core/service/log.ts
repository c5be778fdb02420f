import { type DestinationStream, type Logger, pino } from 'pino'

/** The log of a process: JSON lines on standard error's sibling, standard output. */
export type Log = Logger

const SECRET_KEYS = ['token', 'jwt', 'seed', 'secret', 'password', 'authorization', 'leaseToken', 'apiKey', 'url', 'connectionString']

/**
 * A log for one process. Fields with the name of a secret are cut out wherever they stand in the first two levels;
 * URLs among them, as presigned ones are credentials.
 */
export function createLog(name: string, level: string, destination?: DestinationStream): Log {
  const options = {
    name,
    level,
    base: { name, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]), censor: '[secret]' },
  }
  return destination ? pino(options, destination) : pino(options)
}
