import { readFileSync } from 'node:fs'
import type { Command } from '../command.ts'
import { noArguments } from '../parse.ts'

/** `rgrid version`. */
export const versionCommand: Command = {
  name: 'version',
  usage: '',
  summary: 'Prints the version.',
  options: {},
  async run({ print }, _options, args) {
    noArguments('version', args)
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
    print.out(`rgrid ${version}`)
    return 0
  },
}
