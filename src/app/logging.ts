/**
 * The one log of a process: levels, held lines, redaction, and sinks that can fail without harming anybody. Formatting is
 * pino's, loaded after the first answer: until then lines wait here. Knows no backend and no protocol.
 */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { LogLevelName } from '../config/config.ts'
import type { Log } from '../gateway/log.ts'
import type { PinoWriter } from './pino-log.ts'
import { redactFields, type Redactor } from './redact.ts'

export const logLevelNames = ['debug', 'info', 'warn', 'error', 'silent'] as const satisfies readonly LogLevelName[]

export type LogFormat = 'pretty' | 'json'

/** A stream people read: what we need of process.stderr. */
export interface Sink {
  write(text: string): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  /** Bytes written and not yet taken. */
  readonly writableLength?: number | undefined
}

export interface LogOptions {
  readonly level: LogLevelName
  readonly format: LogFormat
  readonly color: boolean
  readonly sink: Sink
  readonly redactor: Redactor
  /** Gets every line as JSON, besides the sink. Absolute path; made 0600. */
  readonly file?: string | undefined
  /** Milliseconds that lines may wait before the formatter is loaded; 0 = load with the first line. */
  readonly holdMs?: number | undefined
}

export interface OpenLog extends Log {
  readonly level: LogLevelName
  /** Goes on in a new file where the old one was moved away. */
  reopen(): void
  /** Writes what is held and lets go of the file. Lines that come later are dropped. */
  close(): Promise<void>
}

/** One line, redacted, on its way to the formatter. */
export interface Line {
  readonly level: Exclude<LogLevelName, 'silent'>
  readonly time: number
  readonly fields: Record<string, unknown>
  readonly text: string
}

/** What a reader who does not read may make us keep, bytes. A client that never drains stderr is a known kind. */
const maxUnread = 1024 * 1024

/** A sink that never throws, never waits and never grows past a bound; it says how many lines that cost. */
export function bounded(sink: Sink): (text: string) => void {
  let dropped = 0
  return text => {
    if ((sink.writableLength ?? 0) > maxUnread) return void dropped++
    try {
      if (dropped > 0) sink.write(`… ${dropped} log lines were dropped: nobody reads them\n`)
      dropped = 0
      sink.write(text)
    } catch {
      // A full disk or a closed terminal: the log is the first thing to do without.
      dropped++
    }
  }
}

/** Appends to a file; a disk that is full or gone costs lines, never the process. */
function fileSink(path: string): { write(text: string): void; reopen(): void; close(): void } {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  let fd = openSync(path, 'a', 0o600)
  return {
    reopen() {
      // The next one first: better in the wrong place than nowhere.
      const before = fd
      fd = openSync(path, 'a', 0o600)
      closeSync(before)
    },
    write(text) {
      try {
        writeSync(fd, text)
      } catch {
        // Nowhere left to say it: stderr already carries the same line.
      }
    },
    close() {
      try {
        closeSync(fd)
      } catch {
        // Closing a broken file changes nothing for us.
      }
    },
  }
}

/** Opens the log. A log file that cannot be opened is one warning, not a failure. */
export function openLog(options: LogOptions): OpenLog {
  const threshold = logLevelNames.indexOf(options.level)
  const { scrub } = options.redactor
  const toSink = bounded(options.sink)
  let file: ReturnType<typeof fileSink> | undefined
  let held: Line[] = []
  let writer: PinoWriter | undefined
  let loading: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false

  const load = (): Promise<void> =>
    (loading ??= import('./pino-log.ts').then(async ({ pinoWriter }) => {
      const made = await pinoWriter({
        format: options.format,
        color: options.color,
        toSink: text => toSink(scrub(text)),
        toFile: file === undefined ? undefined : text => file?.write(scrub(text)),
      })
      for (const line of held) made(line)
      held = []
      writer = made
    }))

  const put = (line: Line): void => {
    if (closed) return
    if (writer) return writer(line)
    held.push(line)
    if (held.length > 1) return
    // The timer must not keep a finished command alive: close() writes what is held.
    timer = setTimeout(() => void load(), options.holdMs ?? 0)
    timer.unref()
  }

  const make = (bound: Record<string, unknown>): Log => {
    const at = (level: Line['level']): Log['info'] =>
      logLevelNames.indexOf(level) < threshold
        ? () => {}
        : (fields, text) => put({ level, time: Date.now(), fields: { ...bound, ...redactFields(fields) }, text })
    return {
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child: fields => make({ ...bound, ...redactFields(fields) }),
    }
  }

  const log = make({})
  if (options.file !== undefined)
    try {
      file = fileSink(options.file)
    } catch (error) {
      log.warn({ error }, `the log file ${options.file} cannot be opened; logging to stderr only`)
    }
  return {
    ...log,
    level: options.level,
    reopen() {
      try {
        file?.reopen()
      } catch (error) {
        log.warn({ error }, `the log file ${options.file} cannot be opened again; logging to the one of before`)
      }
    },
    async close() {
      clearTimeout(timer)
      if (held.length > 0 || loading) await load()
      closed = true
      file?.close()
    },
  }
}
