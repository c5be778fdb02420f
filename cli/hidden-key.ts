/** What was typed, unless it may be a key: that is repeated nowhere. */
export function withoutKey(word: string): string {
  return /^rgrid_[a-z]+_[^_]*_./.test(word) ? '(a key)' : word
}
