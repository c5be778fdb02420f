import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import Docker from 'dockerode'
import { lastLines } from './command.ts'
import { ensureCommands, SYSTEM_PATH } from './packages.ts'
import { say, step } from './progress.ts'
import type { Settings } from './settings.ts'
import { logPath } from './state.ts'
import { StopWaiting, waitFor } from './wait.ts'

/**
 * The Docker engine: the one that answers at DOCKER_HOST or /var/run/docker.sock, else Debian's docker.io, installed
 * and started here. An engine that was started here keeps running after `stop`: other things may use it.
 */
export async function openEngine(settings: Settings, signal: AbortSignal): Promise<Docker> {
  const docker = new Docker()
  return await step('Docker engine', async () => {
    if (await answers(docker)) return docker
    if (process.env.DOCKER_HOST) throw new Error(`no Docker engine answers at DOCKER_HOST (${process.env.DOCKER_HOST})`)
    await ensureCommands(['dockerd', 'iptables', 'mkfs.ext4', 'mmdebstrap'], signal)
    // Since Debian 13 docker.io is the engine alone; before, it brought the command too.
    await ensureCommands(['docker'], signal)
    // Where systemd runs, the package has just started the engine.
    if (!(await answersSoon(docker, signal))) await startEngine(settings, docker, signal)
    return docker
  })
}

/** The engine when one answers now, else undefined. */
export async function findEngine(): Promise<Docker | undefined> {
  const docker = new Docker()
  return (await answers(docker)) ? docker : undefined
}

async function startEngine(settings: Settings, docker: Docker, signal: AbortSignal): Promise<void> {
  const log = logPath(settings, 'dockerd')
  const output = openSync(log, 'a', 0o600)
  const child = spawn('dockerd', [], { detached: true, stdio: ['ignore', output, output], env: { ...process.env, PATH: SYSTEM_PATH } })
  closeSync(output)
  let ended = false
  child.on('error', () => {
    ended = true
  })
  child.on('exit', () => {
    ended = true
  })
  child.unref()
  if (child.pid) writeFileSync(join(settings.stateDir, 'run', 'dockerd.pid'), `${child.pid}\n`, { mode: 0o600 })
  say(`started dockerd (pid ${child.pid}, log ${log}); it keeps running after stop`)
  await waitFor('dockerd', 60_000, signal, async () => {
    if (await answers(docker)) return true
    if (ended) throw new StopWaiting(`dockerd ended:\n${lastLines(readFileSync(log, 'utf8'), 20)}`)
    return undefined
  })
}

async function answersSoon(docker: Docker, signal: AbortSignal): Promise<boolean> {
  return await waitFor('docker.service', 3000, signal, async () => ((await answers(docker)) ? true : undefined)).catch(() => {
    signal.throwIfAborted()
    return false
  })
}

async function answers(docker: Docker): Promise<boolean> {
  const silence = delay(3000, false, { ref: false })
  return await Promise.race([
    docker.ping().then(
      () => true,
      () => false,
    ),
    silence,
  ])
}
