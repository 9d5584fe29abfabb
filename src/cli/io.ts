/**
 * The outside of a command: streams, environment, signals, all handed in so that a command runs the same in a test. Also how
 * text is made fit for a terminal.
 */
import type { Readable, Writable } from 'node:stream'
import type { Sink } from '../app/logging.ts'

/** What a command reads: process.stdin, or a stream of a test's own. */
export type Input = Readable & { readonly isTTY?: boolean | undefined; setRawMode?(raw: boolean): unknown }

export type Output = Writable & { readonly isTTY?: boolean | undefined; readonly columns?: number | undefined }

/** Tells, from now on, whether the reader has left. `destroyed` does not, where the stream is the process's own. */
export function departure(output: Output): () => boolean {
  let left = false
  output.once('close', () => (left = true))
  return () => left
}

export type Signal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'

export interface Io {
  readonly stdin: Input
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** The running script, `process.argv[1]`. */
  readonly script: string
  readonly platform: NodeJS.Platform
  /** Calls back on every signal that asks us to stop. Returns how to take the listener back. */
  onSignal(listener: (signal: Signal) => void): () => void
  /** Calls back when we are asked to read our files again. Returns how to take the listener back. */
  onReload(listener: () => void): () => void
}

export type Paint = (text: string) => string

/** Colours, or their absence. */
export interface Style {
  readonly bold: Paint
  readonly dim: Paint
  readonly red: Paint
  readonly green: Paint
  readonly yellow: Paint
  readonly cyan: Paint
}

const codes: { readonly [K in keyof Style]: readonly [number, number] } = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
}

export const styleOf = (colored: boolean): Style =>
  Object.fromEntries(
    Object.entries(codes).map(([name, [on, off]]) => [
      name,
      (text: string) => (colored ? `\x1b[${on}m${text}\x1b[${off}m` : text),
    ]),
  ) as unknown as Style

/** `--no-color` and NO_COLOR (whatever its value, if not empty) win over FORCE_COLOR, which wins over what the stream is. */
export function wantsColor(sink: Sink, env: Io['env'], flag: boolean): boolean {
  if (!flag || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb') return false
  const forced = env['FORCE_COLOR']
  if (forced !== undefined && forced !== '') return forced !== '0'
  return sink.isTTY === true
}

/**
 * Text from a backend, fit for this stream. On a terminal it may not move the cursor, set the title or the clipboard;
 * in a pipe it is bytes for a program and stays as it is.
 */
export const printable = (text: string, sink: Sink): string =>
  sink.isTTY === true ? text.replace(/\r\n/g, '\n').replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, '') : text

/** Everything a person or a pipe gives on stdin. */
export async function readAll(input: Input): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of input) chunks.push(Buffer.from(chunk as Buffer | string))
  return Buffer.concat(chunks).toString('utf8')
}
