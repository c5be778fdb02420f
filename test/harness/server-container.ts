import { runCommand } from './platform.ts'

/** The servers that the local bring-up runs as containers. */
export type ServerName = 'postgres' | 'nats' | 's3'

/** Name of the container of a server of the installation in this state folder. */
export async function serverContainer(stateDir: string, name: ServerName): Promise<string> {
  const { stdout } = await runCommand('docker', ['ps', '-a', '--filter', 'label=rgrid.instance', '--format', '{{.Names}} {{.Mounts}}', '--no-trunc'])
  const container = stdout
    .split('\n')
    .find((line) => line.includes(`-${name} `) && line.includes(stateDir))
    ?.split(' ')[0]
  if (!container) throw new Error(`there is no ${name} container of ${stateDir}`)
  return container
}

/** Ends a server of the installation in this state folder at once (SIGKILL), or starts it again. */
export async function actOnServer(stateDir: string, name: ServerName, action: 'kill' | 'start'): Promise<void> {
  const container = await serverContainer(stateDir, name)
  const result = await runCommand('docker', [action, container])
  if (result.code !== 0) throw new Error(`docker ${action} ${container}: ${result.stderr}`)
}
