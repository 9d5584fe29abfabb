/**
 * Bytes into lines, as they are: whole ones to be looked at, and pieces of those that are too long to be kept. Knows nothing
 * of what stands in a line.
 */
export interface Piece {
  /** With the newline, if it is the end of a line. */
  readonly bytes: Buffer
  /** Whether it is a line of its own. */
  readonly isWhole: boolean
}

const newline = 0x0a

export class Splitter {
  private readonly maxBytes: number
  private held: Buffer[] = []
  private size = 0
  private isOverlong = false

  /** Lines of more than `maxBytes` come in pieces. */
  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** What the next bytes make complete, in order. */
  push(chunk: Buffer): Piece[] {
    const pieces: Piece[] = []
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      this.take(chunk.subarray(start, end + 1), true, pieces)
      start = end + 1
    }
    if (start < chunk.length) this.take(chunk.subarray(start), false, pieces)
    return pieces
  }

  /** A last line without its newline; undefined = there is none. */
  rest(): Buffer | undefined {
    const rest = this.size > 0 ? Buffer.concat(this.held, this.size) : undefined
    this.forget()
    return rest
  }

  /** Drops the line that has begun. */
  forget(): void {
    this.held = []
    this.size = 0
    this.isOverlong = false
  }

  private take(part: Buffer, ends: boolean, pieces: Piece[]): void {
    if (this.isOverlong) {
      pieces.push({ bytes: part, isWhole: false })
      this.isOverlong = !ends
      return
    }
    this.held.push(part)
    this.size += part.length
    const isTooLong = this.size > this.maxBytes
    if (!ends && !isTooLong) return
    const bytes = this.held.length === 1 ? part : Buffer.concat(this.held, this.size)
    this.forget()
    this.isOverlong = !ends
    pieces.push({ bytes, isWhole: !isTooLong })
  }
}
