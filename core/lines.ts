/** The lines of a stream of bytes without their ends, the last also when it has none. Throws a RangeError when one is longer than `maxBytes`. */
export async function* lines(source: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Buffer> {
  let parts: Buffer[] = []
  let bytes = 0
  for await (const part of source) {
    const chunk = Buffer.from(part.buffer, part.byteOffset, part.byteLength)
    let start = 0
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      yield Buffer.concat([...parts, chunk.subarray(start, end)])
      parts = []
      bytes = 0
      start = end + 1
    }
    parts.push(chunk.subarray(start))
    bytes += chunk.length - start
    if (bytes > maxBytes) throw new RangeError(`a line is longer than ${maxBytes} bytes`)
  }
  if (bytes > 0) yield Buffer.concat(parts)
}
