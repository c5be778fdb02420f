import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { validateJob } from '#core/job/validate.ts'
import { RUNTIMES } from '#core/runtimes.ts'
import { GENERATED_DOCS, regenerate } from '../../../docs/generate.ts'
import { validateBatch } from '../../harness/batch.ts'

const root = join(import.meta.dirname, '../../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')

for (const name of GENERATED_DOCS) {
  test(`the tables of docs/${name} are those of the schemas (else run node docs/generate.ts)`, () => {
    assert.equal(regenerate(read(`docs/${name}`)), read(`docs/${name}`))
  })
}

test('every document in docs/JOB_SPEC.md and docs/examples is valid', () => {
  const blocks = [...read('docs/JOB_SPEC.md').matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1] ?? '')
  const files = globSync('docs/examples/**/*.{yaml,yml}', { cwd: root }).map(read)
  assert.ok(blocks.length >= 3)
  for (const text of [...blocks, ...files]) {
    const document = parse(text) as { items?: unknown }
    if (document.items === undefined) validateJob(document, RUNTIMES)
    else validateBatch(document, RUNTIMES)
  }
})

test('each decision is headed by the number of its file, and stands in the index', () => {
  const files = globSync('docs/adr/[0-9]*.md', { cwd: root }).sort()
  for (const [i, file] of files.entries()) {
    const number = Number(basename(file).slice(0, 4))
    assert.equal(number, i + 1, `${file}: one number is missing, or taken twice`)
    assert.match(read(file), new RegExp(`^# ${number}\\. `), `${file} has another number in its heading`)
    assert.ok(read('docs/adr/README.md').includes(`| [${number}](${basename(file)})`), `${file} is not in docs/adr/README.md`)
  }
})

test('every link between documents leads somewhere', () => {
  for (const file of ['README.md', 'CONTRIBUTING.md', ...globSync('docs/**/*.md', { cwd: root })]) {
    for (const match of read(file).matchAll(/\]\((?!https?:)([^)#]+)(#[^)]*)?\)/g)) {
      assert.ok(existsSync(join(root, dirname(file), match[1] ?? '')), `${file} names ${match[1]}, which is not there`)
    }
  }
})
