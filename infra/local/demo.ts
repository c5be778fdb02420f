import type { Settings } from './settings.ts'
export async function runDemo(_s: Settings, _i: AbortSignal, _k: boolean): Promise<number> {
  return 1
}
