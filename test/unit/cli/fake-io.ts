/** A terminal, or its absence, in memory: what a command is given in tests. */
import { PassThrough, Writable } from 'node:stream'
import type { Io, Signal } from '../../../src/cli/io.ts'

export interface FakeIo extends Io {
  readonly out: () => string
  readonly err: () => string
  /** Types lines on stdin. */
  type(...lines: string[]): void
  end(): void
  signal(signal: Signal): void
  /** Asks to read the files again. */
  hangUp(): void
  readonly listeners: Set<(signal: Signal) => void>
}

class Screen extends Writable {
  readonly chunks: Buffer[] = []
  readonly isTTY: boolean
  readonly columns: number
  constructor(isTTY: boolean, columns: number) {
    super()
    this.isTTY = isTTY
    this.columns = columns
  }
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.chunks.push(Buffer.from(chunk))
    done()
  }
  text = (): string => Buffer.concat(this.chunks).toString()
}

export interface FakeIoOptions {
  readonly tty?: boolean
  readonly columns?: number
  readonly env?: Record<string, string>
  readonly cwd?: string
}

export function fakeIo({ tty = false, columns = 80, env = {}, cwd = '/' }: FakeIoOptions = {}): FakeIo {
  const stdin = Object.assign(new PassThrough(), { isTTY: tty })
  const [stdout, stderr] = [new Screen(tty, columns), new Screen(tty, columns)]
  const listeners = new Set<(signal: Signal) => void>()
  const reloaders = new Set<() => void>()
  return {
    stdin, stdout, stderr, env, cwd, listeners,
    script: '/home/a/app/node_modules/mcp-proxy-server/bin/mcp-proxy.js',
    platform: 'linux',
    onSignal(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    onReload(listener) {
      reloaders.add(listener)
      return () => void reloaders.delete(listener)
    },
    out: stdout.text,
    err: stderr.text,
    type: (...lines) => lines.forEach(line => stdin.write(`${line}\n`)),
    end: () => void stdin.end(),
    signal: signal => listeners.forEach(listener => listener(signal)),
    hangUp: () => reloaders.forEach(reload => reload()),
  }
}
