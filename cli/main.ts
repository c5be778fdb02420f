import { existsSync } from 'node:fs'
import { ERROR_CODES, RGridError } from '#core/errors.ts'
import { requireNode } from '#core/service/run.ts'
import { type Client, createClient } from './client.ts'
import { COMMANDS } from './commands.ts'
import { commandHelp, parseCommand } from './parse.ts'
import { createPrinter } from './print.ts'
import { findProfile, surroundings } from './profile.ts'
import { findDefaults } from './project-defaults.ts'
import { UsageError } from './usage-error.ts'

const COMMAND_NAMES = COMMANDS.map((command) => command.name)

function help(): string {
  const width = Math.max(...COMMANDS.map((command) => command.name.length))
  return `rgrid runs a script on other machines as if it ran here.

  rgrid run process.py input.json                               same files, same output, same exit code
  rgrid run process.py --batch 'inputs/*.csv' --parallel 50     one job for each file
  rgrid logs -f job_…                                           follow a job

Commands:
${COMMANDS.map((command) => `  ${command.name.padEnd(width)}  ${command.summary.split('\n')[0]}`).join('\n')}

rgrid COMMAND --help says more. Everything after -- goes to the script untouched.
`
}

async function main(argv: string[]): Promise<number> {
  const [name, ...rest] = reorder(argv)
  const about = name === 'help' ? COMMANDS.find((candidate) => candidate.name === rest[0]) : undefined
  if (about || name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(about ? commandHelp(about) : help())
    return name === undefined ? 2 : 0
  }
  const command = COMMANDS.find((candidate) => candidate.name === (name === '--version' ? 'version' : name))
  if (!command) throw new UsageError(unknownCommand(name))
  const { options, args } = parseCommand(command, rest)
  if (options.help === true) {
    process.stdout.write(commandHelp(command))
    return 0
  }
  const at = surroundings()
  let client: Client | undefined
  const makeClient = () => {
    client ??= createClient(findProfile(at))
    return client
  }
  return command.run({ client: makeClient, print: createPrinter(), at, defaults: findDefaults(at.cwd) }, options, args)
}

function unknownCommand(name: string): string {
  if (name.startsWith('-')) return `${name} stands before the command; name that first: rgrid run ${name} …`
  const script = existsSync(name) ? `; to run the file: rgrid run ${name}` : ''
  return `there is no command "${name}"${script}. Commands: ${COMMAND_NAMES.join(', ')}`
}

/** `rgrid --json list` means `rgrid list --json`: switches before the command belong to it. */
function reorder(argv: string[]): string[] {
  const at = argv.findIndex((word) => COMMAND_NAMES.includes(word))
  if (at <= 0 || !argv.slice(0, at).every((word) => word.startsWith('-')) || argv[0] === '--help' || argv[0] === '-h') return argv
  return [argv[at] as string, ...argv.slice(0, at), ...argv.slice(at + 1)]
}

function report(error: unknown): number {
  if (error instanceof UsageError) {
    process.stderr.write(`rgrid: ${error.message}\n`)
    return 2
  }
  if (error instanceof RGridError) {
    process.stderr.write(
      error.issues.length > 1
        ? `rgrid: ${ERROR_CODES[error.code].title}\n${error.issues.map((issue) => `  ${issue.path}: ${issue.message}`).join('\n')}\n`
        : `rgrid: ${error.message}\n`,
    )
    return ERROR_CODES[error.code].exitCode
  }
  process.stderr.write(`rgrid: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  return 1
}

requireNode()
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // The reader has what it wanted: `rgrid logs job | head`.
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
}
process.exitCode = await main(process.argv.slice(2)).catch(report)
