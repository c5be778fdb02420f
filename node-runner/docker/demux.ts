/** A piece of a container's output. */
export interface OutputPiece {
  stream: 'stdout' | 'stderr'
  data: Buffer
}

/** A piece of a frame; `rest` bytes of the same frame follow. */
export interface FramePiece extends OutputPiece {
  rest: number
}

const HEADER_BYTES = 8

/**
 * Takes Docker's multiplexed stream apart: each frame is `[1|2, 0, 0, 0, length (4 bytes, big endian)]` and its bytes
 * (https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach). Pulls: while
 * the consumer is busy nothing is read, so that a fast writer is slowed and not buffered.
 */
export async function* demux(source: AsyncIterable<Buffer>): AsyncGenerator<FramePiece> {
  let header = Buffer.alloc(0)
  let stream: OutputPiece['stream'] = 'stdout'
  let missing = 0
  for await (const chunk of source) {
    let rest = chunk
    while (rest.length > 0) {
      if (missing === 0) {
        const wanted = HEADER_BYTES - header.length
        header = Buffer.concat([header, rest.subarray(0, wanted)])
        rest = rest.subarray(wanted)
        if (header.length < HEADER_BYTES) continue
        stream = header[0] === 2 ? 'stderr' : 'stdout'
        missing = header.readUInt32BE(4)
        header = Buffer.alloc(0)
        continue
      }
      const data = rest.subarray(0, missing)
      rest = rest.subarray(data.length)
      missing -= data.length
      yield { stream, data, rest: missing }
    }
  }
}
