/**
 * How a failure is shown: for people, or as one JSON line for scripts. The only place where an error becomes text on stderr and
 * an exit code. Knows no command.
 */
import type { Redactor } from '../app/redact.ts'
import type { Problem } from '../config/problems.ts'
import { McpError, toMcpError } from '../gateway/errors.ts'
import { printable, styleOf, wantsColor, type Io, type Style } from './io.ts'

export interface ReportOptions {
  readonly json: boolean
  readonly color: boolean
  /** Stack traces and causes, for those who debug us. */
  readonly debug: boolean
  readonly redactor?: Redactor | undefined
}

/** The exit codes of every command; docs/exit-codes.md is the table for people. */
export const exitCodes = { done: 0, failure: 1, usage: 2, degraded: 3, notRunning: 4, signIn: 5, held: 6, interrupted: 130 } as const

/** Writes the failure to stderr and says which exit code it means. */
export function report(thrown: unknown, io: Pick<Io, 'stderr' | 'env'>, options: ReportOptions): number {
  const error = toMcpError(thrown)
  const scrub = options.redactor?.scrub ?? (text => text)
  io.stderr.write(scrub(options.json ? `${JSON.stringify(envelope(error))}\n` : forPeople(error, io, options)))
  return error.exitCode
}

/** `{"error":{code,message,hint?,backend?,retryAfterMs?,problems?}}` */
function envelope({ code, message, details }: McpError): object {
  const { hint, backend, retryAfterMs, problems } = details
  return { error: { code, message, hint, backend, retryAfterMs, problems } }
}

function forPeople(error: McpError, io: Pick<Io, 'stderr' | 'env'>, { color, debug }: ReportOptions): string {
  const style = styleOf(wantsColor(io.stderr, io.env, color))
  const clean = (text: string): string => printable(text, io.stderr)
  const { hint, problems = [] } = error.details
  const lines = [`${style.red('error')} ${style.bold(error.code)}: ${clean(error.message)}`]
  for (const problem of problems as readonly Problem[]) lines.push(...problemLines(problem, clean, style, error))
  lines.push(...hintLines(hint, clean))
  if (debug) for (const line of stackOf(error)) lines.push(`  ${clean(line)}`)
  return `${lines.join('\n')}\n`
}

/** What to do, below what it is about. */
export const hintLines = (hint: string | undefined, clean: (text: string) => string): string[] =>
  hint === undefined ? [] : `  hint: ${clean(hint)}`.split('\n').map((line, index) => (index === 0 ? line : `    ${line}`))

/** A problem of a file: where, what, and what to do, less what `said` has said already. */
export function problemLines(problem: Problem, clean: (text: string) => string, style: Style, said?: McpError): string[] {
  const { file, line, column, severity, code, message, hint } = problem
  const lines = [`  at ${clean(file)}:${line}:${column}`]
  const mark = severity === 'warning' ? style.yellow('warning') : style.red('error')
  if (message !== said?.message) lines.push(`    ${mark} ${code}: ${clean(message)}`)
  if (hint !== undefined && hint !== said?.details.hint) lines.push(`    hint: ${clean(hint)}`)
  return lines
}

function* stackOf(error: Error): Generator<string> {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++)
    yield* (at.stack ?? String(at)).split('\n').map((line, index) => (depth > 0 && index === 0 ? `caused by ${line}` : line))
}
