import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { documentedMetrics, seriesNames } from '../../harness/metric-names.ts'
import { parsePromql } from '../../harness/promql.ts'

const root = join(import.meta.dirname, '../../..')
const read = (file: string) => readFileSync(join(root, 'infra/observability', file), 'utf8')

interface Rule {
  alert: string
  expr: string
  for?: string
  labels: { severity: string }
  annotations: { summary: string; description: string }
}
interface Panel {
  id: number
  title: string
  type: string
  datasource?: { uid: string }
  gridPos: { x: number; y: number; w: number; h: number }
  targets?: { expr: string; datasource: { uid: string }; legendFormat: string }[]
}
const rules = (parse(read('rgrid.rules.yaml')) as { groups: { name: string; rules: Rule[] }[] }).groups.flatMap((group) => group.rules)
const dashboard = JSON.parse(read('rgrid.dashboard.json')) as {
  uid: string
  panels: Panel[]
  templating: { list: { name: string; type: string; query: string }[] }
}

/** Series that are there with the labels they may have: ours, and what prom-client and Prometheus itself add. */
const SERIES = new Map(documentedMetrics().flatMap(({ name, labels, type }) => seriesNames(name, type).map((series) => [series, labels])))
for (const name of ['up', 'nodejs_eventloop_lag_p99_seconds', 'process_resident_memory_bytes', 'process_cpu_seconds_total', 'process_open_fds'])
  SERIES.set(name, [])
const TARGET_LABELS = ['job', 'instance', 'le']

function check(text: string, where: string): void {
  const { selected, grouped, type } = parsePromql(text)
  assert.equal(type, 'vector', where)
  assert.ok(selected.length > 0, where)
  for (const { metric, labels } of selected) {
    const known = SERIES.get(metric)
    assert.ok(known, `${where}: there is no series ${metric}`)
    for (const label of labels) assert.ok([...known, ...TARGET_LABELS].includes(label), `${where}: ${metric} has no label ${label}`)
  }
  const all = selected.flatMap(({ metric }) => SERIES.get(metric) ?? [])
  for (const label of grouped) assert.ok([...all, ...TARGET_LABELS].includes(label), `${where}: nothing has the label ${label}`)
}

test('every alarm asks for metrics that there are, in PromQL, and says what to do', () => {
  assert.ok(rules.length > 20)
  assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length)
  for (const rule of rules) {
    check(rule.expr, rule.alert)
    assert.match(rule.alert, /^RGrid[A-Z]\w+$/)
    assert.match(rule.labels.severity, /^(page|ticket)$/)
    if (rule.for !== undefined) assert.match(rule.for, /^\d+[smh]$/)
    for (const text of [rule.annotations.summary, rule.annotations.description]) {
      assert.ok(text.length > 10, rule.alert)
      for (const [, template] of text.matchAll(/\{\{ (.*?) \}\}/g)) assert.match(template ?? '', /^\$(value|labels\.\w+)( \| humanize(Percentage|Duration)?)?$/)
    }
  }
})

test('the jobs that the alarms name are those that prometheus.yml scrapes', () => {
  const config = parse(read('prometheus.yml')) as { rule_files: string[]; scrape_configs: { job_name: string }[] }
  assert.deepEqual(config.rule_files, ['rgrid.rules.yaml'])
  const jobs = config.scrape_configs.map(({ job_name }) => job_name)
  for (const { expr } of rules) for (const [, job] of expr.matchAll(/job="([^"]+)"/g)) assert.ok(jobs.includes(job as string), job)
})

test('every panel asks for metrics that there are, of the data source that is chosen', () => {
  const queries = dashboard.panels.flatMap((panel) => (panel.targets ?? []).map((target) => ({ panel, ...target })))
  assert.ok(queries.length > 30)
  for (const { panel, expr, datasource, legendFormat } of queries) {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of Grafana's
    assert.equal(datasource.uid, '${datasource}', panel.title)
    check(expr.replaceAll('$__rate_interval', '5m'), panel.title)
    assert.ok(legendFormat.length > 0, panel.title)
  }
  assert.deepEqual(
    dashboard.templating.list.map(({ name, type, query }) => [name, type, query]),
    [['datasource', 'datasource', 'prometheus']],
  )
})

test('the dashboard can be imported: ids are its own, panels do not lie over each other, and each process has a row', () => {
  const { panels } = dashboard
  assert.match(dashboard.uid, /^[\w-]{1,40}$/)
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  assert.deepEqual(
    panels.filter(({ type }) => type === 'row').map(({ title }) => title),
    ['At a glance', 'Gateway', 'Scheduler', 'Webhooks and events', 'Nodes', 'Processes', 'The provider of machines', 'Machines'],
  )
  const cells = new Set<string>()
  for (const { title, gridPos } of panels)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        assert.ok(x < 24 && !cells.has(`${x},${y}`), `${title} lies over another`)
        cells.add(`${x},${y}`)
      }
})

test('every metric of ours is on the dashboard or in an alarm, so that none is made for nobody', () => {
  const texts = [...rules.map(({ expr }) => expr), ...dashboard.panels.flatMap((panel) => (panel.targets ?? []).map(({ expr }) => expr))]
  const used = new Set(texts.flatMap((text) => parsePromql(text.replaceAll('$__rate_interval', '5m')).selected.map(({ metric }) => metric)))
  for (const { name, type } of documentedMetrics())
    assert.ok(
      seriesNames(name, type).some((series) => used.has(series)),
      name,
    )
})

test('what is no PromQL is found', () => {
  for (const wrong of [
    'rate(up)',
    'sum(up[5m])',
    'sum by job (up)',
    'histogram_quantile(0.9)',
    'up{job="x"',
    'up{job=x}',
    'up > ',
    'nothing_like_it(up)',
    'up up',
    'up and 1',
    'rate(up[x])',
    'up ; up',
  ])
    assert.throws(() => parsePromql(wrong), wrong)
  assert.deepEqual(parsePromql('sum by (a) (rate(x{b=~"c|d"}[5m])) / ignoring(e) group_left sum(y offset 1h) > bool 0.5 or absent(z)'), {
    type: 'vector',
    selected: [
      { metric: 'x', labels: ['b'] },
      { metric: 'y', labels: [] },
      { metric: 'z', labels: [] },
    ],
    grouped: ['a', 'e'],
  })
})
