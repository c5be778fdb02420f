import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
const KINDS = { counter: 'counter', total: 'counter', gauge: 'gauge', gauges: 'gauge', level: 'gauge', histogram: 'histogram' } as const

/** What a metric is to Prometheus. */
export type MetricType = 'counter' | 'gauge' | 'histogram'

/** Every metric that the source makes, by its name. */
export function codeMetrics(): Map<string, MetricType> {
  const found = new Map<string, MetricType>()
  for (const file of globSync('{core,bus,store,gateway,scheduler,node-runner}/**/*.ts', { cwd: ROOT })) {
    const text = readFileSync(join(ROOT, file), 'utf8')
    for (const [, kind = '', name = ''] of text.matchAll(/metrics\.(counter|total|gauges?|level|histogram)(?:<[^>]*>)?\(\s*'(\w+)'/g))
      found.set(name, KINDS[kind as keyof typeof KINDS])
  }
  return found
}

/** A metric as docs/METRICS.md has it. */
export interface DocumentedMetric {
  name: string
  labels: string[]
  type: string
  /** The processes that have it, by the headings it stands under. */
  processes: readonly string[]
}

const PROCESSES = ['gateway', 'scheduler', 'node-runner']

/** Every metric of docs/METRICS.md: the rows of its tables, under a heading for each process, or for all. */
export function documentedMetrics(): DocumentedMetric[] {
  const metrics: DocumentedMetric[] = []
  let processes: readonly string[] = []
  for (const line of readFileSync(join(ROOT, 'docs/METRICS.md'), 'utf8').split('\n')) {
    const heading = /^## (.*)$/.exec(line)?.[1]
    if (heading !== undefined) processes = heading === 'every process' ? PROCESSES : heading === 'gateway and scheduler' ? PROCESSES.slice(0, 2) : [heading]
    const row = /^\| `(\w+)(?:\{([\w,]+)\})?` +\| (\w+) +\|/.exec(line)
    if (row) metrics.push({ name: row[1] as string, labels: row[2]?.split(',') ?? [], type: row[3] as string, processes })
  }
  return metrics
}

/** The names that series of a metric have: a histogram has three. */
export function seriesNames(name: string, type: string): string[] {
  return type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => `${name}${end}`) : [name]
}
