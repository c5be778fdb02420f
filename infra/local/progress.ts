const begunMs = performance.now()

/** Prints one line with the seconds since the command began. */
export function say(text: string): void {
  process.stdout.write(`${clock()} ${text}\n`)
}

/** Runs one step and prints when it begins and how long it took; a quick one prints a single line. */
export async function step<T>(title: string, work: () => Promise<T>): Promise<T> {
  const startedMs = performance.now()
  const announce = setTimeout(() => say(`${title} …`), 250)
  try {
    const result = await work()
    const seconds = (performance.now() - startedMs) / 1000
    say(`${title}: ready${seconds >= 0.25 ? ` in ${seconds.toFixed(1)} s` : ''}`)
    return result
  } finally {
    clearTimeout(announce)
  }
}

/** Seconds since the command began, for tables. */
export function elapsedSeconds(): number {
  return (performance.now() - begunMs) / 1000
}

function clock(): string {
  return `[${elapsedSeconds().toFixed(1).padStart(6)} s]`
}
