import { readFileSync } from 'node:fs'
import type { Spec } from '#core/job/spec.ts'
import { type Context, list, type Option, type OptionValues, text } from './command.ts'
import { findRequirements, type Invocation, readInvocation } from './script.ts'
import { SPEC_OPTIONS, specFromOptions } from './spec-options.ts'

/** The options that decide what runs, and with which files. */
export const RUN_SPEC_OPTIONS: Readonly<Record<string, Option>> = {
  ...SPEC_OPTIONS,
  requirements: { type: 'string', value: 'FILE', help: 'Python requirements; requirements.txt beside the script is taken by itself' },
  input: { type: 'string', value: 'PATH', multiple: true, help: 'a file or folder that no argument names but the script needs; repeatable' },
  'no-inputs': { type: 'boolean', help: 'arguments that name files take nothing along' },
}

/** What a command line means for a job: its spec without inputs, and the files that it needs. Throws UsageErrors. */
export function readRunSpec({ at, defaults }: Context, options: OptionValues, words: readonly string[]): { spec: Spec; invocation: Invocation } {
  const invocation = readInvocation(at.cwd, words, text(options, 'runtime') ?? defaults.runtime, {
    extraInputs: list(options, 'input'),
    noInputs: options['no-inputs'] === true,
  })
  const requirements = findRequirements(at.cwd, words, text(options, 'requirements'))
  const spec: Spec = {
    runtime: invocation.runtime ?? '',
    command: invocation.command,
    args: invocation.args,
    ...specFromOptions(options, defaults, at.cwd, at.env),
    ...(requirements === undefined ? {} : { requirements: readFileSync(requirements, 'utf8') }),
  }
  return { spec, invocation }
}
