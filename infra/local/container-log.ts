import type Docker from 'dockerode'

/** What a container has written so far, of one stream or both; the last `tail` lines, or all. */
export async function readContainerLog(container: Docker.Container, what: { stdout?: boolean; stderr?: boolean; tail?: number }): Promise<string> {
  const framed = await container.logs({ ...what, follow: false })
  // The engine frames its log: 8 bytes (stream, 0, 0, 0, length) before each piece of output.
  const pieces: Buffer[] = []
  for (let at = 0; at + 8 <= framed.length; ) {
    const end = at + 8 + framed.readUInt32BE(at + 4)
    pieces.push(framed.subarray(at + 8, end))
    at = end
  }
  return Buffer.concat(pieces).toString('utf8')
}
