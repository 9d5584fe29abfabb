/**
 * What a process last wrote for people, in bounded memory, made fit for an error text: whole lines, no control
 * characters. Must not know whose words they are.
 */

export const lastWordsDefaults = { ringBytes: 64 * 1024, lines: 20, lineChars: 500 } as const

// Terminal sequences (CSI, OSC, two-byte escapes), then every control character but the newline and the tab.
const terminal = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])/g
const control = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g

export class LastWords {
  private ring: Buffer | undefined
  private at = 0
  private wrapped = false

  push(chunk: Buffer): void {
    const ring = (this.ring ??= Buffer.allocUnsafeSlow(lastWordsDefaults.ringBytes))
    const kept = chunk.subarray(-ring.length)
    const first = kept.copy(ring, this.at)
    kept.copy(ring, 0, first)
    if (this.at + kept.length >= ring.length) this.wrapped = true
    this.at = (this.at + kept.length) % ring.length
  }

  /** The last lines, at most `lines` of them. */
  text(lines: number = lastWordsDefaults.lines): string {
    if (!this.ring) return ''
    const bytes = this.wrapped
      ? Buffer.concat([this.ring.subarray(this.at), this.ring.subarray(0, this.at)])
      : this.ring.subarray(0, this.at)
    return plain(bytes.toString('utf8'))
      .split('\n')
      .map(line => line.trimEnd())
      .filter(line => line !== '')
      .slice(-lines)
      .map(line => (line.length > lastWordsDefaults.lineChars ? `${line.slice(0, lastWordsDefaults.lineChars)}…` : line))
      .join('\n')
  }
}

/** Text without terminal sequences and control characters; lines stay lines. */
export const plain = (text: string): string => text.replace(terminal, '').replace(/\r\n?/g, '\n').replace(control, '')

const partialChars = 2_000

/** Feeds whole lines to `say`, without control characters; empty ones are left out. A line of any length costs no more memory. */
export function splitLines(say: (line: string) => void): (chunk: Buffer) => void {
  let partial = ''
  return chunk => {
    const lines = (partial + chunk.toString('utf8')).split('\n')
    partial = (lines.pop() ?? '').slice(0, partialChars)
    for (const line of lines) {
      const text = plain(line.slice(0, partialChars)).trim()
      if (text !== '') say(text)
    }
  }
}
