import { test } from 'node:test'
import { writeFileSync, mkdtempSync } from 'node:fs'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { startGateway } from '../../harness/gateway.ts'
const run = promisify(execFile)
test('shot', async () => {
  const gateway = await startGateway()
  const url = await gateway.listen()
  writeFileSync('/tmp/openapi.json', JSON.stringify((await gateway.app.inject('/openapi.json')).json(), null, 1))
  const curl = async (...a: string[]) => console.log(a.join(' '), '\n', (await run('curl', ['-sS', '-i', '-m', '10', ...a])).stdout.slice(0, 1800))
  await curl(`${url}/docs`); await curl(`${url}/docs/static/swagger-initializer.js`)
  await curl('-X', 'DELETE', `${url}/v1/me`)
  await curl('-H', 'accept-encoding: br', '-o', '/dev/null', '-D', '-', `${url}/openapi.json`)
  for (const [name, hash] of [['docs', ''], ['job', '#/Jobs/submitJob']] as const) {
    const r = await run('chromium', ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run', `--user-data-dir=${mkdtempSync('/tmp/chr-')}`, '--window-size=1300,2400', '--virtual-time-budget=15000', '--enable-logging=stderr', '--v=0', `--screenshot=/tmp/${name}.png`, `${url}/docs${hash}`], { timeout: 90_000 }).catch((e) => e)
    console.log(name, String(r.stderr).split('\n').filter((l: string) => /CONSOLE|Refused|CSP|Content Security/.test(l)).join('\n'))
  }
  console.log(gateway.logged.filter((l) => /docs|openapi/.test(l)).length, 'docs requests')
  await gateway.stop()
})
