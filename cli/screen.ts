/** A place on the terminal that is written again and again; in a pipe each text is written once, below the last one. */
export interface Screen {
  /** On a terminal as many of the lines as there is room for; all of them when this is the `last` time. */
  show(lines: readonly string[], last?: boolean): void
}

/** On standard output. */
export function createScreen(stdout: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns' | 'rows'> = process.stdout): Screen {
  let height = 0
  return {
    show(lines, last = false) {
      // Up to the first line of what is there, and everything below it away.
      if (stdout.isTTY && height > 0) stdout.write(`\u001b[${height}A\u001b[J`)
      const columns = stdout.columns || 80
      const heights = lines.map((line) => Math.max(1, Math.ceil(visibleLength(line) / columns)))
      // What has gone off the upper edge could not be taken back; a line is for what is left out, one for the cursor.
      const shown = stdout.isTTY && !last ? countFitting(heights, (stdout.rows || 24) - 1) : lines.length
      for (const line of lines.slice(0, shown)) stdout.write(`${line}\n`)
      height = heights.slice(0, shown).reduce((sum, one) => sum + one, 0)
      if (shown === lines.length) return
      stdout.write(`… ${lines.length - shown} more lines\n`)
      height++
    },
  }
}

function countFitting(heights: readonly number[], room: number): number {
  let used = 0
  for (const [index, one] of heights.entries()) {
    const isLast = index === heights.length - 1
    if (used + one + (isLast ? 0 : 1) > room) return index
    used += one
  }
  return heights.length
}

// Colours take no room.
function visibleLength(line: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a colour begins with one
  return line.replaceAll(/\u001b\[[0-9;]*m/g, '').length
}
