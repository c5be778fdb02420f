import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
const PARTS = ['core', 'bus', 'store', 'gateway', 'scheduler', 'node-runner']

/** A field that a call of the log names, or something in its place whose fields cannot be read from the source. */
export interface LoggedField {
  at: string
  name: string
  kind: 'field' | 'spread' | 'variable'
}

/** Every field of every `log.<level>(…)` and `log.child(…)` in the source. */
export function loggedFields(): LoggedField[] {
  return PARTS.flatMap((part) => globSync(`${part}/**/*.ts`, { cwd: ROOT }))
    .sort()
    .flatMap((file) => fieldsIn(file, readFileSync(join(ROOT, file), 'utf8')))
}

/** The same of one text. */
export function fieldsIn(file: string, text: string): LoggedField[] {
  const fields: LoggedField[] = []
  for (const match of text.matchAll(/\b(?:log|logger)\.(?:trace|debug|info|warn|error|fatal|child)\(\s*/g)) {
    const start = match.index + match[0].length
    const at = `${file}:${text.slice(0, start).split('\n').length}`
    const argument = topLevelParts(text, start)[0] ?? ''
    if (/^['"`]/.test(argument)) continue
    if (!argument.startsWith('{')) {
      fields.push({ at, name: argument, kind: 'variable' })
      continue
    }
    for (const part of topLevelParts(argument, 1)) {
      const spread = /^\.\.\.(.*)$/s.exec(part)
      if (spread) fields.push({ at, name: spread[1] ?? '', kind: 'spread' })
      else fields.push({ at, name: /^['"]?([\w$-]+)/.exec(part)?.[1] ?? part, kind: 'field' })
    }
  }
  return fields
}

/** The parts between commas from a place on, up to the bracket that closes it. */
function topLevelParts(text: string, start: number): string[] {
  const parts: string[] = []
  let depth = 0
  let part = ''
  let quote = ''
  for (let i = start; i < text.length; i++) {
    const char = text[i] as string
    if (quote !== '') {
      if (char === quote && text[i - 1] !== '\\') quote = ''
    } else if (`'"\``.includes(char)) quote = char
    else if ('([{'.includes(char)) depth++
    else if (')]}'.includes(char)) {
      if (depth === 0) break
      depth--
    } else if (char === ',' && depth === 0) {
      parts.push(part.trim())
      part = ''
      continue
    }
    part += char
  }
  if (part.trim() !== '') parts.push(part.trim())
  return parts
}
