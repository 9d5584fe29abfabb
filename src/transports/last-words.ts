/**
 * What a process last wrote for people, in bounded memory, made fit for an error text: whole lines, no control
 * characters. Must not know whose words they are. Whatever hides secrets runs before anything is cut: of half a secret it
 * would see none.
 */
import { StringDecoder } from 'node:string_decoder'

/** Takes secrets out of a text. */
export type Redact = (text: string) => string

const same: Redact = text => text
/** Characters kept beyond a cut until secrets are hidden. */
export const longestSecret = 8_192

export const lastWordsDefaults = { ringBytes: 64 * 1024, lines: 20, lineChars: 500 } as const

// Terminal sequences (CSI, OSC, two-byte escapes), then every control character but the newline and the tab.
const terminal = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])/g
const newline = 0x0a
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

  /** The last lines, at most `lines` of them, as `redact` leaves them. */
  text(lines: number = lastWordsDefaults.lines, redact: Redact = same): string {
    if (!this.ring) return ''
    const bytes = this.wrapped
      ? Buffer.concat([this.ring.subarray(this.at), this.ring.subarray(0, this.at)])
      : this.ring.subarray(0, this.at)
    // The ring may begin in the middle of anything.
    const whole = this.wrapped ? bytes.subarray(bytes.indexOf(newline) + 1 || bytes.length) : bytes
    return redact(plain(whole.toString('utf8')))
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

const loggedChars = 2_000

/** A line as it may be logged. */
export const loggable = (line: string, redact: Redact): string => redact(line).slice(0, loggedChars)

/**
 * Feeds whole lines to `say`, without control characters; empty ones are left out. A line of any length costs no more
 * memory; what of it is logged is for `loggable` to say, which is not asked for lines that are not.
 */
export function splitLines(say: (line: string) => void): (chunk: Buffer) => void {
  const decoder = new StringDecoder('utf8')
  const kept = loggedChars + longestSecret
  let partial = ''
  return chunk => {
    const lines = (partial + decoder.write(chunk)).split('\n')
    partial = (lines.pop() ?? '').slice(0, kept)
    for (const line of lines) {
      const text = plain(line.slice(0, kept)).trim()
      if (text !== '') say(text)
    }
  }
}
