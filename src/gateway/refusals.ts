/**
 * The failures a member reports on its own account: each names the alias, and says when to come back where it knows.
 * And what a failure says about the server.
 */
import { McpError, toMcpError, type ErrorCode } from './errors.ts'

/** Makes sure an error says whose it is; a server's own error and a client's cancellation stay as they came. */
export function named(alias: string, thrown: unknown): McpError {
  const error = toMcpError(thrown)
  if (error.code === 'BACKEND_ERROR' || error.code === 'CANCELLED' || error.details.backend !== undefined) return error
  return new McpError(error.code, `${alias}: ${error.message}`, { ...error.details, backend: alias, cause: error })
}

/** For a caller: with the server's last words as the hint, or where they are if they may be about another's call. */
export function overheard(error: McpError, mayHear: boolean): McpError {
  const { lastWords, ...details } = error.details
  if (lastWords === undefined) return error
  const hint = mayHear ? `it last wrote: ${lastWords}` : 'what it last wrote is in the log'
  return new McpError(error.code, error.message, { ...details, hint, cause: error })
}

export const closing = (alias: string): McpError =>
  new McpError('SHUTTING_DOWN', `${alias} is being shut down`, { backend: alias })

export const died = (alias: string): McpError =>
  new McpError('BACKEND_DIED', `${alias} went away before it answered`, { backend: alias })

export function unavailable(alias: string, why: string, retryAfterMs: number | undefined, hint?: string): McpError {
  const wait = retryAfterMs === undefined ? undefined : Math.max(1, Math.ceil(retryAfterMs))
  return new McpError('BACKEND_UNAVAILABLE', `${alias} ${why}`, { backend: alias, retryAfterMs: wait, hint })
}

export const busy = (alias: string, waiting: number): McpError =>
  new McpError('BACKEND_BUSY', `${alias} is busy: ${waiting} calls are waiting for it already`, {
    backend: alias,
    retryAfterMs: 1000,
    hint: 'call again later, or raise limits.concurrency or limits.queue of this backend',
  })

export const timedOut = (alias: string, what: string, ms: number): McpError =>
  new McpError('BACKEND_TIMEOUT', `${alias} ${what} within ${seconds(ms)}`, { backend: alias })

export const seconds = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 100) / 10} s`)

const onTheWay: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['BACKEND_DIED', 'BACKEND_TIMEOUT', 'BACKEND_HTTP'])
const ofOurs: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['CANCELLED', 'SHUTTING_DOWN', 'CLIENT_GONE', 'BACKEND_NEEDS_AUTH'])

/** Whether a call `failed` on the way, was `answered` (if only with an error), or shows neither. */
export function verdictOn({ code }: McpError): 'failed' | 'answered' | 'neither' {
  if (onTheWay.has(code)) return 'failed'
  return ofOurs.has(code) ? 'neither' : 'answered'
}
