import { parseArgs } from 'node:util'
import { runDemo } from './demo/demo.ts'
import { openEngine } from './engine.ts'
import { stayInForeground } from './foreground.ts'
import { createImages, prepareImages } from './images.ts'
import { say } from './progress.ts'
import { readSettings, type Settings } from './settings.ts'
import { printWelcome, start, startOnlyServices } from './start.ts'
import { makeFolders } from './state.ts'
import { stop, stopOnlyServices } from './stop.ts'

const USAGE = `usage: node infra/local/main.ts <command>
  start [--detach]   the whole platform; stays until Ctrl-C, with --detach returns when ready
  stop               ends it; data and secrets stay
  demo [--keep]      starts it, runs the sample batch and scripts, checks the results, stops it
  up-services        only Postgres, NATS and S3
  down-services      ends those
  images             only the images of services and runtimes, and the table of the latter in runtimes.json`

async function main(interrupt: AbortSignal): Promise<number> {
  if (Number(process.versions.node.split('.')[0]) < 24)
    throw new Error(`this is Node ${process.versions.node}; run it through npm (npm start), which uses Node 24`)
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { detach: { type: 'boolean' }, keep: { type: 'boolean' } } })
  const settings = readSettings()
  makeFolders(settings)
  switch (positionals[0]) {
    case 'start':
      await startOrUndo(settings, interrupt)
      printWelcome(settings)
      return values.detach ? 0 : await stayInForeground(settings, interrupt)
    case 'stop':
      await stop(settings)
      return 0
    case 'demo':
      return await runDemo(settings, interrupt, values.keep ?? false)
    case 'up-services':
      await startOnlyServices(settings, interrupt)
      return 0
    case 'down-services':
      await stopOnlyServices(settings)
      return 0
    case 'images':
      await prepareImages(settings, createImages(settings, await openEngine(settings, interrupt), interrupt))
      return 0
    default:
      throw new Error(USAGE)
  }
}

// A start that was interrupted leaves nothing running; one that failed leaves everything to be looked at.
async function startOrUndo(settings: Settings, interrupt: AbortSignal): Promise<void> {
  try {
    await start(settings, interrupt)
  } catch (error) {
    if (interrupt.aborted) await stop(settings)
    throw error
  }
}

/** Aborted by the first Ctrl-C or SIGTERM; another one a second later or more ends this command at once. */
function onInterrupt(): AbortSignal {
  const controller = new AbortController()
  let firstMs = 0
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) {
        // A terminal tells npm and us, and npm tells us once more: that is still the same Ctrl-C.
        if (performance.now() - firstMs > 1000) process.exit(130)
        return
      }
      firstMs = performance.now()
      say(`${name}: stopping (once more ends this command at once)`)
      controller.abort(new Error(`interrupted by ${name}`))
    })
  }
  return controller.signal
}

const interrupt = onInterrupt()
try {
  process.exit(await main(interrupt))
} catch (error) {
  const failure = interrupt.aborted ? interrupt.reason : error
  process.stderr.write(`\nrgrid: ${failure instanceof Error ? failure.message : String(failure)}\n`)
  process.exit(interrupt.aborted ? 130 : 1)
}
