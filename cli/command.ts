import type { ParseArgsOptionsConfig } from 'node:util'
import type { Client } from './client.ts'
import type { Printer } from './print.ts'
import type { Surroundings } from './profile.ts'
import type { ProjectDefaults } from './project-defaults.ts'

/** What a command has to work with. The client is made when it is first asked for. */
export interface Context {
  client(): Client
  print: Printer
  at: Surroundings
  defaults: ProjectDefaults
}

/** The values of a command's options: strings, lists of strings for repeatable ones, true for switches. */
export type OptionValues = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>

/** An option with what `--help` says of it. */
export type Option = ParseArgsOptionsConfig[string] & { help: string; value?: string }

/** A command of `rgrid`. */
export interface Command {
  name: string
  /** What follows the name, such as `SCRIPT [ARGS…]`. */
  usage: string
  summary: string
  options: Readonly<Record<string, Option>>
  /** More for `--help`: examples. */
  details?: string
  /** Runs it; resolves with the exit code. */
  run(context: Context, options: OptionValues, args: string[]): Promise<number>
}

/** The value of an option that is given at most once. */
export function text(options: OptionValues, name: string): string | undefined {
  const value = options[name]
  return typeof value === 'string' ? value : undefined
}

/** The values of a repeatable option. */
export function list(options: OptionValues, name: string): string[] {
  const value = options[name]
  return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : []
}
