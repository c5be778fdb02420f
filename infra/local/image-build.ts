import { spawn } from 'node:child_process'
import { basename, dirname } from 'node:path'
import type Docker from 'dockerode'
import { lastLines } from './command.ts'

/** The label that says of what an image was made; a different value means it has to be made anew. */
export const CONTENT_LABEL = 'rgrid.content'

const BUILD_DEADLINE_MS = 600_000

/** One image build. */
export interface Build {
  tag: string
  /** Folders whose contents make up the build context; one holds the Dockerfile. */
  folders: readonly string[]
  /** Single files put beside them. */
  files: readonly string[]
  args: Readonly<Record<string, string>>
  /** Name of the Dockerfile in the context. */
  dockerfile?: string
  content: string
  signal: AbortSignal
}

/** Builds an image through the engine. Rejects with the build's last lines when a step of it fails. */
export async function buildImage(docker: Docker, build: Build): Promise<void> {
  const signal = AbortSignal.any([build.signal, AbortSignal.timeout(BUILD_DEADLINE_MS)])
  const sources = [...build.folders.flatMap((folder) => ['-C', folder, '.']), ...build.files.flatMap((file) => ['-C', dirname(file), basename(file)])]
  const tar = spawn('tar', ['-c', ...sources], { stdio: ['ignore', 'pipe', 'inherit'], signal })
  tar.on('error', () => undefined)
  const stream = await docker.buildImage(tar.stdout, {
    t: build.tag,
    dockerfile: build.dockerfile ?? 'Dockerfile',
    buildargs: { ...proxyArgs(), ...build.args },
    labels: { [CONTENT_LABEL]: build.content },
    forcerm: true,
    abortSignal: signal,
  })
  await followOutput(docker, stream, `building ${build.tag}`)
}

/** Whether the engine holds an image of this name, and (when given) made of this content. */
export async function hasImage(docker: Docker, name: string, content?: string): Promise<boolean> {
  try {
    const image = await docker.getImage(name).inspect()
    return content === undefined || image.Config?.Labels?.[CONTENT_LABEL] === content
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return false
    throw error
  }
}

/** Reads an engine's progress stream to its end. The engine reports failures inside it: those reject here. */
export async function followOutput(docker: Docker, stream: NodeJS.ReadableStream, what: string): Promise<void> {
  let output = ''
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(
      stream,
      (error) => (error ? reject(new Error(`${what} failed: ${error.message}\n${lastLines(output, 20)}`)) : resolve()),
      (event: { stream?: string; error?: string }) => {
        output = (output + (event.stream ?? '')).slice(-8000)
        if (event.error) reject(new Error(`${what} failed: ${event.error}\n${lastLines(output, 20)}`))
      },
    )
  })
}

function proxyArgs(): Record<string, string> {
  const names = ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY']
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])))
}
