import type { TSchema } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { Value } from '@sinclair/typebox/value'
import type { FastifySchemaCompiler } from 'fastify'
import { MAX_ISSUES } from '#core/job/validate.ts'

/**
 * Checks requests against their TypeBox schemas, as the compiler of @fastify/type-provider-typebox does, and gives up after so
 * many faults: finding all of them in 4 MiB of unknown fields takes a second, and no other request is answered meanwhile.
 */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const check = TypeCompiler.Compile(schema)
  return (value) => {
    const converted: unknown = httpPart === 'body' ? value : Value.Convert(schema, value)
    if (check.Check(converted)) return { value: converted }
    const faults: { message: string; instancePath: string }[] = []
    for (const { message, path } of check.Errors(converted)) {
      faults.push({ message, instancePath: path })
      if (faults.length >= MAX_ISSUES) break
    }
    return { error: faults as never }
  }
}
