import { type Static, Type } from '@sinclair/typebox'
import { API_VERSION, Env, InputFile, Labels, Name, Spec } from './job/spec.ts'

const strict = { additionalProperties: false } as const

/** The most items of one batch. */
export const MAX_BATCH_ITEMS = 100_000

/** What one job of a batch has of its own on top of the template. */
export const BatchItem = Type.Object(
  {
    name: Type.Optional(Name),
    args: Type.Optional(Type.Array(Type.String({ maxLength: 131_000 }), { maxItems: 10_000, description: 'Replaces the template’s args.' })),
    env: Type.Optional(Env),
    inputs: Type.Optional(Type.Array(InputFile, { maxItems: 1000, description: 'Added to the template’s inputs.' })),
    labels: Type.Optional(Labels),
  },
  strict,
)
/** See the schema of the same name. */
export type BatchItem = Static<typeof BatchItem>

/** The Batch document: one template, many items. */
export const BatchSpec = Type.Object(
  {
    apiVersion: Type.Optional(Type.Literal(API_VERSION, { default: API_VERSION })),
    kind: Type.Optional(Type.Literal('Batch', { default: 'Batch' })),
    metadata: Type.Optional(
      Type.Object({ name: Type.Optional(Name), project: Type.Optional(Type.String({ maxLength: 63 })), labels: Type.Optional(Labels) }, strict),
    ),
    parallel: Type.Optional(
      Type.Union([Type.Integer({ minimum: 1, maximum: MAX_BATCH_ITEMS }), Type.Null()], {
        default: null,
        description: 'How many of its jobs may be queued or running at once; null: all.',
      }),
    ),
    maxFailures: Type.Optional(
      Type.Union([Type.Integer({ minimum: 1, maximum: MAX_BATCH_ITEMS }), Type.Null()], {
        default: null,
        description: 'After so many failed jobs the rest of the batch is cancelled; null: never.',
      }),
    ),
    template: Spec,
    items: Type.Array(BatchItem, { minItems: 1, maxItems: MAX_BATCH_ITEMS }),
  },
  strict,
)
/** See the schema of the same name. */
export type BatchSpec = Static<typeof BatchSpec>

/** The spec of one job of the batch: the template with the item's args, env and inputs. */
export function mergeItem(template: Spec, item: BatchItem): Spec {
  return {
    ...template,
    ...(item.args === undefined ? {} : { args: item.args }),
    ...(item.env === undefined ? {} : { env: { ...template.env, ...item.env } }),
    ...(item.inputs === undefined ? {} : { files: { ...template.files, inputs: [...(template.files?.inputs ?? []), ...item.inputs] } }),
  }
}
