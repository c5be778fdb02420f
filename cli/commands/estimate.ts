import type { Estimate } from '#core/cost-api.ts'
import { formatMicrons } from '#core/money.ts'
import { formatDuration } from '#core/service/time.ts'
import { findBatchFiles } from '../batch-files.ts'
import { type Command, list } from '../command.ts'
import { RUN_SPEC_OPTIONS, readRunSpec } from '../run-spec.ts'

/** Below so many jobs a guess is one. */
const FEW = 5

/** `rgrid estimate`. */
export const estimateCommand: Command = {
  name: 'estimate',
  usage: 'SCRIPT [ARGS…] [OPTIONS] [-- ARGS…]',
  summary: 'Says how long a script is likely to take there, and what it is likely to cost, by those before it; runs and uploads nothing.',
  options: {
    ...RUN_SPEC_OPTIONS,
    batch: { type: 'string', value: 'GLOB', multiple: true, help: 'for one job for each file' },
    json: { type: 'boolean', help: 'print JSON' },
  },
  details: `  rgrid estimate process.py input.json                     the command line as for rgrid run
  rgrid estimate process.py --batch 'inputs/*.csv'          for all of them`,
  async run(context, options, words) {
    const { client, print, at, defaults } = context
    const { spec } = readRunSpec(context, options, words)
    const patterns = list(options, 'batch')
    const jobs = patterns.length === 0 ? 1 : findBatchFiles(at.cwd, patterns).length
    const project = defaults.project ?? (await client().project())
    const estimate = await client().call('POST /v1/estimate', { query: { project, jobs }, body: { spec } })
    if (options.json === true) print.json(estimate)
    else {
      print.say(basisOf(estimate))
      print.table(tableOf(estimate))
    }
    return 0
  },
}

function basisOf({ basis, n }: Estimate): string {
  if (basis === null) return 'nothing like it has succeeded in this project yet: only the worst case is known'
  const jobs = n === 1 ? 'the one job' : `the last ${n} jobs`
  const like = basis === 'script' ? 'with this script' : 'with this runtime, as none with this script has succeeded yet'
  return `by ${jobs} ${like}${n < FEW ? ': few, so take it as a hint' : ''}`
}

function tableOf({ jobs, seconds, chargeMicrons, costMicrons, reserveMicrons }: Estimate): string[][] {
  const of = (what: string) => (jobs === 1 ? what : `${what} of ${jobs} jobs`)
  const money = (what: string, range: Estimate['costMicrons']) => (range ? [[what, formatMicrons(range.median), formatMicrons(range.p90)]] : [])
  return [
    ['', 'MEDIAN', '9 IN 10 BELOW'],
    ...(seconds ? [[jobs === 1 ? 'time' : 'time of each', formatDuration(seconds.median * 1000), formatDuration(seconds.p90 * 1000)]] : []),
    ...money(of('charge'), chargeMicrons),
    ...money(of('cost'), costMicrons),
    [of('reserved'), formatMicrons(reserveMicrons), ''],
  ]
}
