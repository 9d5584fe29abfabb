/**
 * The process: argv in, exit code out. Owns the global streams, signals and last-resort failures, and is the only file that
 * ends the process. Knows no command.
 */
import { parse } from 'node:path'
import { isatty } from 'node:tty'
import { commandLine } from './cli/command.ts'
import type { Io, Signal } from './cli/io.ts'

/** A first signal lets calls finish; these are for a command that hangs in its own end, milliseconds. */
const graceMs = { first: 30_000, second: 1_500 }

const listeners = new Set<(signal: Signal) => void>()
const reloaders = new Set<() => void>()
let signals = 0

/** The folder we stand in may be gone; then paths are as of the root, and nothing else changes. */
function currentFolder(): string {
  try {
    return process.cwd()
  } catch {
    return parse(process.execPath).root
  }
}

const io: Io = {
  get stdin() {
    return process.stdin
  },
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  cwd: currentFolder(),
  script: process.argv[1] ?? '',
  platform: process.platform,
  onSignal(listener) {
    listeners.add(listener)
    return () => void listeners.delete(listener)
  },
  onReload(listener) {
    reloaders.add(listener)
    return () => void reloaders.delete(listener)
  },
}

/** The same signal says that our terminal was closed; then nobody is left to serve. */
const hadTerminal = process.platform !== 'win32' && isatty(2)
const asksForReload = (signal: Signal): boolean =>
  signal === 'SIGHUP' && process.platform !== 'win32' && reloaders.size > 0 && isatty(2) === hadTerminal

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    if (asksForReload(signal)) {
      for (const reload of reloaders) reload()
      return
    }
    signals++
    if (listeners.size === 0) process.exit(130)
    setTimeout(() => process.exit(130), signals === 1 ? graceMs.first : graceMs.second).unref()
    for (const listener of [...listeners]) listener(signal)
  })

// A reader that has left (`list | head -1`) is no failure of ours; a channel on stdout notices by itself.
process.stdout.on('error', () => process.stdout.destroy())
process.stderr.on('error', () => {})

const line = commandLine(process.argv.slice(2), io)
const crash = (thrown: unknown): void => process.exit(line.crashed(thrown))
process.on('uncaughtException', crash)
process.on('unhandledRejection', crash)

void line.run().then(async code => {
  await flushed(process.stdout)
  process.exit(code)
})

/** What a slow reader of a pipe has not taken yet would be lost with us. A destroyed stream waits for nobody. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise(resolve => {
    if (stream.destroyed || stream.writableLength === 0) return resolve()
    stream.once('close', resolve).write('', () => resolve())
  })
}
