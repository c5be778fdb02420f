import type { Static, TSchema } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'

/** A message that does not fit its schema, with the first fault; the message itself is not in the text. */
export class BadMessageError extends Error {
  constructor(what: string, fault: string) {
    super(`a ${what} does not fit its schema: ${fault}`)
    this.name = 'BadMessageError'
  }
}

const compiled = new WeakMap<TSchema, TypeCheck<TSchema>>()

function checkFor(schema: TSchema): TypeCheck<TSchema> {
  let check = compiled.get(schema)
  if (!check) compiled.set(schema, (check = TypeCompiler.Compile(schema)))
  return check
}

function assertFits(schema: TSchema, value: unknown): void {
  const check = checkFor(schema)
  if (check.Check(value)) return
  const fault = check.Errors(value).First()
  throw new BadMessageError(schema.$id ?? 'message', fault ? `${fault.path || '/'} ${fault.message}` : 'unknown fault')
}

/** A checked message as UTF-8 JSON. Throws BadMessageError: what we send is checked as what we hear. */
export function encode<T extends TSchema>(schema: T, value: Static<T>): Uint8Array {
  assertFits(schema, value)
  return Buffer.from(JSON.stringify(value))
}

/** Reads and checks a message. Throws BadMessageError, also when it is not JSON. */
export function decode<T extends TSchema>(schema: T, data: Uint8Array): Static<T> {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8'))
  } catch {
    throw new BadMessageError(schema.$id ?? 'message', 'it is not JSON')
  }
  assertFits(schema, value)
  return value
}
