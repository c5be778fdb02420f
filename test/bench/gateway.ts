import { freePorts } from '../harness/ports.ts'
import { startProcess, type TestProcess } from '../harness/process.ts'

/** A gateway in a process of its own. */
export interface BenchGateway extends TestProcess {
  /** `http://127.0.0.1:…` */
  url: string
}

/** Starts one on this database and waits until it is ready; `env` adds to its variables. */
export async function startGatewayProcess(databaseUrl: string, env: Record<string, string> = {}): Promise<BenchGateway> {
  const [port] = Object.values(await freePorts())
  const url = `http://127.0.0.1:${port}`
  const gateway = startProcess('gateway', { RGRID_DATABASE_URL: databaseUrl, RGRID_LISTEN: `127.0.0.1:${port}`, RGRID_LOG_LEVEL: 'warn', ...env })
  const endMs = performance.now() + 30_000
  while (!(await isReady(url))) {
    if (performance.now() > endMs) throw new Error(`the gateway is not ready:\n${gateway.output()}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return { ...gateway, url }
}

async function isReady(url: string): Promise<boolean> {
  return fetch(`${url}/readyz`).then(
    (response) => response.ok,
    () => false,
  )
}
