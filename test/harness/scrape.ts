/** The metrics of a process, read at one time. */
export interface Scrape {
  /** The value of a series as Prometheus writes it, such as `rgrid_jobs{state="held"}`; undefined when it is absent. */
  value(series: string): number | undefined
  text: string
}

/** Reads the metrics that are served at `address:port`. */
export async function scrape(address: string): Promise<Scrape> {
  const response = await fetch(`http://${address}/metrics`)
  return readMetrics(await response.text())
}

/** Takes the text format apart. */
export function readMetrics(text: string): Scrape {
  const values = new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  )
  return { value: (series) => values.get(series), text }
}
