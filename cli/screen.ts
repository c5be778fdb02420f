/** A place on the terminal that is written again and again; in a pipe each text is written once, below the last one. */
export interface Screen {
  show(lines: readonly string[]): void
}

/** On standard output. */
export function createScreen(stdout: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'> = process.stdout): Screen {
  let height = 0
  return {
    show(lines) {
      // Up to the first line of what is there, and everything below it away.
      if (stdout.isTTY && height > 0) stdout.write(`\u001b[${height}A\u001b[J`)
      for (const line of lines) stdout.write(`${line}\n`)
      const columns = stdout.columns || 80
      height = lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(visibleLength(line) / columns)), 0)
    },
  }
}

// Colours take no room.
function visibleLength(line: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a colour begins with one
  return line.replaceAll(/\u001b\[[0-9;]*m/g, '').length
}
