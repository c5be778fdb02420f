import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { COMMANDS } from '../../../cli/commands.ts'
import { commandHelp } from '../../../cli/parse.ts'

const page = readFileSync(new URL('../../../docs/CLI.md', import.meta.url), 'utf8')

for (const command of COMMANDS) {
  test(`docs/CLI.md and --help name every option of rgrid ${command.name}`, () => {
    assert.match(page, new RegExp(`\`${command.name}[ \`]|## ${command.name}\\b`))
    const help = commandHelp(command)
    for (const [name, option] of Object.entries(command.options)) {
      assert.ok(page.includes(`--${name}`), `docs/CLI.md lacks --${name} of ${command.name}`)
      assert.ok(help.includes(`--${name}`) && option.help !== '', `--help lacks --${name}`)
    }
  })
}
