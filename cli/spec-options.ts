import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { secretNames } from '#core/job/secret-values.ts'
import type { Spec } from '#core/job/spec.ts'
import { list, type Option, type OptionValues, text } from './command.ts'
import { parseCount, parseSeconds } from './duration.ts'
import { find } from './local-files.ts'
import type { ProjectDefaults } from './project-defaults.ts'
import { UsageError } from './usage-error.ts'

/** The variables that hold secrets of the project. */
export const SECRET_OPTION: Option = {
  type: 'string',
  value: 'K=NAME',
  multiple: true,
  help: 'a variable that holds a secret of the project; NAME alone is the variable too; repeatable',
}

/** The options of `run` that become fields of the spec. */
export const SPEC_OPTIONS: Readonly<Record<string, Option>> = {
  runtime: { type: 'string', value: 'NAME', help: 'named runtime (python:3.11, node:24, bash, ffmpeg:latest …) or any image' },
  cpu: { type: 'string', value: 'N', help: 'CPUs: 1, 0.5, 500m' },
  memory: { type: 'string', value: 'SIZE', help: 'memory: 512Mi, 2Gi' },
  disk: { type: 'string', value: 'SIZE', help: 'size of the work folder: 2Gi' },
  timeout: { type: 'string', value: 'TIME', help: 'longest run time: seconds, or 90s, 5m, 1h' },
  env: { type: 'string', value: 'K=V', multiple: true, help: 'environment variable; K alone takes it from here; repeatable' },
  'env-file': { type: 'string', value: 'FILE', multiple: true, help: 'environment variables from a file; repeatable' },
  secret: SECRET_OPTION,
  mask: {
    type: 'string',
    value: 'NAME',
    multiple: true,
    help: 'an environment variable whose value is masked in the log, besides those with names like …_TOKEN; repeatable',
  },
  network: { type: 'boolean', help: 'outbound network (never to private addresses)' },
  retries: { type: 'string', value: 'N', help: 'run it again after a failure, up to N times' },
  priority: { type: 'string', value: 'N', help: '-100 to 100; higher starts first' },
}

/** The fields of the spec that the options and the project's defaults give. Throws UsageErrors. */
export function specFromOptions(options: OptionValues, defaults: ProjectDefaults, cwd: string, env: NodeJS.ProcessEnv): Partial<Spec> {
  const resources = {
    cpu: text(options, 'cpu') ?? defaults.cpu,
    memory: text(options, 'memory') ?? defaults.memory,
    disk: text(options, 'disk') ?? defaults.disk,
  }
  const given = Object.fromEntries(Object.entries(resources).filter(([, value]) => value !== undefined))
  const timeout = text(options, 'timeout') ?? defaults.timeout
  const retries = text(options, 'retries') ?? defaults.retries
  const priority = text(options, 'priority')
  const variables = { ...defaults.env, ...readVariables(options, cwd, env) }
  const secrets = secretsFromOptions(options)
  return {
    ...(Object.keys(given).length > 0 ? { resources: given as NonNullable<Spec['resources']> } : {}),
    ...(timeout === undefined ? {} : { timeoutSeconds: parseSeconds('timeout', timeout) }),
    ...(retries === undefined ? {} : { retries: parseCount('retries', retries, 0, 100) }),
    ...(priority === undefined ? {} : { priority: parseCount('priority', priority, -100, 100) }),
    ...(options.network === true || defaults.network === true ? { network: true } : {}),
    ...(Object.keys(variables).length > 0 || Object.keys(secrets).length > 0 ? { env: { ...variables, ...secrets } } : {}),
    ...(list(options, 'mask').length > 0 ? { maskEnv: [...new Set([...secretNames({ env: variables }), ...list(options, 'mask')])] } : {}),
  }
}

/** The variables of `--secret K=NAME`. Throws a UsageError. */
export function secretsFromOptions(options: OptionValues): Record<string, { secret: string }> {
  return Object.fromEntries(
    list(options, 'secret').map((pair) => {
      const [, variable = '', name = variable] = /^([A-Za-z_][A-Za-z0-9_]*)(?:=(.+))?$/.exec(pair) ?? []
      if (variable === '') throw new UsageError(`--secret "${pair}" is not K=NAME, a variable and the name of a secret`)
      return [variable, { secret: name }]
    }),
  )
}

function readVariables(options: OptionValues, cwd: string, env: NodeJS.ProcessEnv): Record<string, string> {
  const variables: Record<string, string> = {}
  for (const file of list(options, 'env-file')) {
    const path = resolve(cwd, file)
    if (!find(path)?.isFile()) throw new UsageError(`--env-file: there is no file ${file}`)
    Object.assign(variables, parseEnv(readFileSync(path, 'utf8')))
  }
  for (const pair of list(options, 'env')) {
    const at = pair.indexOf('=')
    const name = at === -1 ? pair : pair.slice(0, at)
    const value = at === -1 ? env[name] : pair.slice(at + 1)
    if (value === undefined) throw new UsageError(`--env ${name}: there is no such variable here; give it a value: --env ${name}=…`)
    variables[name] = value
  }
  return variables
}

/** Labels from `--label K=V`. Throws a UsageError. */
export function labelsFromOptions(options: OptionValues): Record<string, string> {
  return Object.fromEntries(
    list(options, 'label').map((pair) => {
      const at = pair.indexOf('=')
      if (at < 1) throw new UsageError(`--label "${pair}" is not K=V`)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}
