import type { Command } from '../command.ts'
import { noArguments } from '../parse.ts'

const MAX_SHOWN = 10

/** `rgrid doctor`. */
export const doctorCommand: Command = {
  name: 'doctor',
  usage: '',
  summary: 'Looks at the whole installation and says what is wrong (operators). Ends with 1 when something is.',
  options: { json: { type: 'boolean', help: 'print JSON' } },
  async run({ client, print }, options, args) {
    noArguments('doctor', args)
    const diagnosis = await client().call('GET /v1/doctor')
    if (options.json === true) print.json(diagnosis)
    else
      print.table([
        ['', 'CHECK', 'LOOKED AT', 'WRONG'],
        ...diagnosis.checks.map((check) => [check.ok ? 'ok' : 'WRONG', check.name, String(check.checked), String(check.problems.length)]),
      ])
    if (options.json !== true)
      for (const { name, problems, hint } of diagnosis.checks.filter((check) => !check.ok)) {
        print.out(`\n${name}:`)
        for (const problem of problems.slice(0, MAX_SHOWN)) print.out(`  ${problem}`)
        if (problems.length > MAX_SHOWN) print.out(`  … and ${problems.length - MAX_SHOWN} more`)
        print.out(`  What to do: ${hint}`)
      }
    return diagnosis.ok ? 0 : 1
  },
}
