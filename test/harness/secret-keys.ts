import { createSealer } from '#core/sealer.ts'

/** What tests seal with: keys of no other worth. */
export const TEST_SECRET_KEYS = `test:${Buffer.alloc(32, 7).toString('base64')}`
/** Seals and opens with them. */
export const testSealer = createSealer(TEST_SECRET_KEYS)
