import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Docker from 'dockerode'
import { lastLines } from '../command.ts'
import { readContainerLog } from '../container-log.ts'
import type { Settings } from '../settings.ts'

const DEADLINE_MS = 180_000

/** Runs a command in a runtime's image with `folder` as /work, without RGrid: `docker run --rm -v folder:/work …`. */
export type ByHand = (runtime: string, folder: string, command: readonly string[], env?: Readonly<Record<string, string>>) => Promise<string>

/** Gives the way to run a command by hand in the very images that the platform uses. */
export async function openByHand(settings: Settings, interrupt: AbortSignal): Promise<ByHand> {
  const docker = new Docker()
  const images = JSON.parse(readFileSync(join(settings.stateDir, 'runtimes.json'), 'utf8')) as Record<string, string>
  return async (runtime, folder, command, env = {}) => {
    const image = images[runtime]
    if (!image) throw new Error(`no image for ${runtime}`)
    const container = await docker.createContainer({
      Image: image,
      Cmd: [...command],
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      WorkingDir: '/work',
      Labels: { 'rgrid.instance': settings.instance },
      HostConfig: { NetworkMode: 'none', Mounts: [{ Type: 'bind', Source: folder, Target: '/work' }] },
    })
    try {
      await container.start()
      const limit = AbortSignal.any([interrupt, AbortSignal.timeout(DEADLINE_MS)])
      const { StatusCode } = (await container.wait({ abortSignal: limit })) as { StatusCode: number }
      const stdout = await readContainerLog(container, { stdout: true })
      if (StatusCode !== 0)
        throw new Error(`by hand: ${command.join(' ')} ended with ${StatusCode}:\n${lastLines(await readContainerLog(container, { stderr: true }), 10)}`)
      return stdout
    } finally {
      await container.remove({ force: true, v: true }).catch(() => undefined)
    }
  }
}
