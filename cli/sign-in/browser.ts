import { spawn } from 'node:child_process'

/** Opens an address in the user's browser, where there is a display. Whether that worked nobody can know: print it too. */
export function openBrowser(url: string, env: NodeJS.ProcessEnv): void {
  const isMac = process.platform === 'darwin'
  if (!isMac && !env.DISPLAY && !env.WAYLAND_DISPLAY) return
  const child = spawn(isMac ? 'open' : 'xdg-open', [url], { stdio: 'ignore', detached: true, env })
  child.on('error', () => undefined)
  child.unref()
}
