import { join } from 'node:path'
import { ensurePackage } from '../../infra/local/packages.ts'
import { type CommandResult, runCommand } from './platform.ts'

/** Where the example of docs/PYTHON.md is. */
export const PYTHON_CLIENT = join(import.meta.dirname, '../../docs/examples/python-client')
const PYTHON = '/usr/bin/python3'

/** Installs what it stands on, where that is not there. */
export async function ensurePythonRequests(): Promise<void> {
  const lacks = async () => (await runCommand(PYTHON, ['-c', 'import requests'])).code !== 0
  await ensurePackage('python3-requests', lacks, AbortSignal.timeout(300_000))
}

/** `requests` obeys the proxy of who runs the tests. */
const NO_PROXY = { NO_PROXY: '127.0.0.1', no_proxy: '127.0.0.1' }

/** Runs Python to its end, with `rgrid_client` to be imported. */
export function python(args: string[], { cwd, env = {} }: { cwd?: string; env?: Record<string, string> } = {}): Promise<CommandResult> {
  const own = { PYTHONPATH: PYTHON_CLIENT, PYTHONDONTWRITEBYTECODE: '1', ...NO_PROXY }
  return runCommand(PYTHON, args, { ...(cwd === undefined ? {} : { cwd }), env: { ...own, ...env } })
}
