import { parseArgs } from 'node:util'
import type { Command, OptionValues } from './command.ts'
import { withoutKey } from './hidden-key.ts'
import { UsageError } from './usage-error.ts'

/**
 * Parses what follows a command's name. Options may stand before or after the arguments; everything after `--` is an
 * argument, untouched. An unknown option is refused, with the way to hand it on. Values stay text: `007` is no number.
 */
export function parseCommand(command: Command, argv: readonly string[]): { options: OptionValues; args: string[] } {
  const split = argv.indexOf('--')
  const own = split === -1 ? argv : argv.slice(0, split)
  const untouched = split === -1 ? [] : argv.slice(split + 1)
  const options = { ...command.options, help: { type: 'boolean' as const, short: 'h', help: '' } }
  try {
    const parsed = parseArgs({ args: [...own], options, allowPositionals: true, strict: true })
    return { options: parsed.values as OptionValues, args: [...parsed.positionals, ...untouched] }
  } catch (error) {
    throw new UsageError(explain(command, error as Error))
  }
}

function explain(command: Command, error: Error): string {
  const unknown = /Unknown option '([^']*)'/.exec(error.message)?.[1]
  if (unknown === undefined) return `${error.message.replace(/\.$/, '')}. See: rgrid ${command.name} --help`
  const hint = command.name === 'run' ? `To hand it to the script, put it after --: rgrid run SCRIPT -- ${unknown}. ` : ''
  return `rgrid ${command.name} has no option ${unknown}. ${hint}See: rgrid ${command.name} --help`
}

/** The one argument a command needs. Throws a UsageError. */
export function onlyArgument(args: readonly string[], what: string): string {
  const [first, ...more] = args
  if (first === undefined || first === '' || more.length > 0) throw new UsageError(`name one ${what}; "rgrid list" shows what there is`)
  return first
}

/** For a command that takes options only. Throws a UsageError. */
export function noArguments(command: string, args: readonly string[]): void {
  const [first] = args
  if (first !== undefined) throw new UsageError(`rgrid ${command} takes no argument, and "${withoutKey(first)}" is one. See: rgrid ${command} --help`)
}

/** The text of `rgrid COMMAND --help`. */
export function commandHelp(command: Command): string {
  const rows = Object.entries(command.options).map(([name, option]) => {
    const short = option.short ? `-${option.short}, ` : '    '
    return [`  ${short}--${name}${option.type === 'string' ? ` ${option.value ?? name.toUpperCase()}` : ''}`, option.help] as const
  })
  const width = Math.max(0, ...rows.map(([left]) => left.length))
  const options = rows.length === 0 ? '' : `\nOptions:\n${rows.map(([left, right]) => `${left.padEnd(width)}  ${right}`).join('\n')}\n`
  return `rgrid ${command.name} ${command.usage}\n\n${command.summary}\n${options}${command.details ? `\n${command.details}\n` : ''}`
}
