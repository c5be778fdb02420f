import type { Static, TSchema } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import type { StandardSchemaV1 } from '@standard-schema/spec'

/** A TypeBox schema as the Standard Schema (https://standardschema.dev) that slonik's `sql.type` takes: rows are typed and checked. */
export function row<T extends TSchema>(schema: T): StandardSchemaV1<unknown, Static<T>> {
  const check = TypeCompiler.Compile(schema)
  return {
    '~standard': {
      version: 1,
      vendor: 'typebox',
      validate(value) {
        if (check.Check(value)) return { value }
        const issues = [...check.Errors(value)].map((error) => ({ message: `${error.path}: ${error.message}` }))
        return { issues }
      },
    },
  }
}
