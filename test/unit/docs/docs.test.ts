import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
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

test('every link between documents leads somewhere', () => {
  for (const file of ['README.md', 'CONTRIBUTING.md', ...globSync('docs/**/*.md', { cwd: root })]) {
    for (const match of read(file).matchAll(/\]\((?!https?:)([^)#]+)(#[^)]*)?\)/g)) {
      assert.ok(existsSync(join(root, dirname(file), match[1] ?? '')), `${file} names ${match[1]}, which is not there`)
    }
  }
})
