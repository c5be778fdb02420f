import { type Issue, RGridError } from '#core/errors.ts'

/** The media type of lines of JSON. */
export const LINES = 'application/x-ndjson'
/** A document of more characters goes line by line: as one the gateway takes 4 MiB. */
const MAX_DOCUMENT_CHARACTERS = 2 ** 20

/** The body of a request and its media type. */
export interface Body {
  type: string
  text: string
}

/** A request's body: JSON, or NDJSON where it is a batch too large for one document. */
export function toBody(document: unknown): Body {
  const text = JSON.stringify(document)
  if (text.length <= MAX_DOCUMENT_CHARACTERS || !isBatch(document)) return { type: 'application/json', text }
  const { items, ...head } = document
  return { type: LINES, text: [head, ...items].map((line) => `${JSON.stringify(line)}\n`).join('') }
}

function isBatch(document: unknown): document is { items: unknown[] } {
  return typeof document === 'object' && document !== null && Array.isArray((document as { items?: unknown }).items)
}

/** The error with the fields named as they are in the document: the gateway knows but the lines that it was sent. */
export function inDocument(error: RGridError): RGridError {
  const { code, message, cause, retryAfterSeconds } = error
  const issues = error.issues.map(({ path, message: what }): Issue => ({ path: fieldOf(path), message: what }))
  const [first] = error.issues
  const shown = first && message.startsWith(`${first.path}:`) ? `${issues[0]?.path}${message.slice(first.path.length)}` : message
  return new RGridError(code, shown, { issues, cause, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) })
}

function fieldOf(path: string): string {
  if (path === 'lines.1') return 'template'
  if (path.startsWith('lines.1.')) return path.slice('lines.1.'.length)
  return path.replace(/^lines\.(\d+)/, (_, line: string) => `items.${Number(line) - 2}`)
}
