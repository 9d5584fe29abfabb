/**
 * Turns lines into text with pino: JSON lines, or pretty ones for people. Reached only through `await import()`: loading
 * it takes as long as answering a client's first message. Writes to functions, so no disk or pipe can make pino wait.
 */
import pino from 'pino'
import type { Line, LogFormat } from './logging.ts'

export type PinoWriter = (line: Line) => void

export interface PinoTargets {
  readonly format: LogFormat
  readonly color: boolean
  readonly toSink: (text: string) => void
  readonly toFile: ((text: string) => void) | undefined
}

export async function pinoWriter({ format, color, toSink, toFile }: PinoTargets): Promise<PinoWriter> {
  const pretty = format === 'pretty' ? await prettyText(color) : undefined
  // The time of a line is when it was said, which for held lines is earlier than when pino sees it.
  let time = 0
  const logger = pino(
    {
      level: 'debug',
      base: { pid: process.pid },
      timestamp: () => `,"time":${time}`,
      formatters: { level: label => ({ level: label }) },
    },
    {
      write(text: string) {
        // JSON itself escapes the lower ones, in every field.
        const json = text.replace(/[\x7f-\x9f]/g, '')
        toFile?.(json)
        toSink(pretty === undefined ? json : pretty(json))
      },
    },
  )
  return line => {
    time = line.time
    logger[line.level](line.fields, withoutControls(line.text))
  }
}

async function prettyText(color: boolean): Promise<(json: string) => string> {
  // Bundled, a CommonJS module has its names on the default export only.
  const { prettyFactory } = (await import('pino-pretty')).default
  const render = prettyFactory({
    colorize: color,
    ignore: 'pid',
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
    errorLikeObjectKeys: [],
  })
  // Here only the text of a line can have more of them, and what a server says must not look like a line of ours.
  return json => `${(render(json) ?? '').trimEnd().replaceAll('\n', '\\n')}\n`
}

/** What backends write ends on people's terminals: it may not move the cursor or set the clipboard. */
const withoutControls = (text: string): string => text.replace(/[\x00-\x08\x0b-\x1f]/g, '')
