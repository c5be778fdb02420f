import { readFileSync } from 'node:fs'
import { ERROR_CODES, RGridError } from '#core/errors.ts'
import { requireNode } from '#core/service/run.ts'
import { type Client, createClient } from './client.ts'
import type { Command } from './command.ts'
import { initCommand } from './commands/init.ts'
import { cancelCommand, listCommand, statusCommand, submitCommand } from './commands/jobs.ts'
import { downloadCommand, logsCommand, outputsCommand } from './commands/outputs.ts'
import { runCommand } from './commands/run.ts'
import { commandHelp, parseCommand } from './parse.ts'
import { createPrinter } from './print.ts'
import { findDefaults, findProfile, surroundings } from './profile.ts'
import { UsageError } from './usage-error.ts'

const versionCommand: Command = {
  name: 'version',
  usage: '',
  summary: 'Prints the version.',
  options: {},
  async run({ print }) {
    const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
    print.out(`rgrid ${version}`)
    return 0
  },
}

const COMMANDS: readonly Command[] = [
  runCommand,
  submitCommand,
  logsCommand,
  statusCommand,
  listCommand,
  cancelCommand,
  outputsCommand,
  downloadCommand,
  initCommand,
  versionCommand,
]

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
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(help())
    return name === undefined ? 2 : 0
  }
  const command = COMMANDS.find((candidate) => candidate.name === (name === '--version' ? 'version' : name))
  if (!command) throw new UsageError(`there is no command "${name}". Commands: ${COMMANDS.map((candidate) => candidate.name).join(', ')}`)
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
