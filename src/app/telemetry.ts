/**
 * What became of each call: counters always, and one debug line per call when somebody looks. The outermost middleware,
 * so that it sees every call and its real duration. Arguments and results are never part of either.
 */
import type { Call, Middleware } from '../gateway/contract.ts'
import { toMcpError } from '../gateway/errors.ts'
import type { Log } from '../gateway/log.ts'

export interface CallCounts {
  /** Calls that came in; `total` = answered + asked + failed + cancelled + those in flight. */
  total: number
  answered: number
  /** Outcomes that ask the client for input; the retry counts as a call of its own. */
  asked: number
  failed: number
  cancelled: number
}

export interface Telemetry {
  readonly middleware: Middleware
  readonly counts: Readonly<CallCounts>
}

export interface TelemetryOptions {
  readonly log: Log
  /** Whether debug lines are written at all; without them a call costs two additions. */
  readonly lines: boolean
  /** Alias of the backend that will answer, for the line; undefined when nobody knows. */
  readonly owner?: ((call: Call) => string | undefined) | undefined
}

export function telemetry({ log, lines, owner }: TelemetryOptions): Telemetry {
  const counts: CallCounts = { total: 0, answered: 0, asked: 0, failed: 0, cancelled: 0 }
  let sequence = 0

  const middleware: Middleware = next => async call => {
    counts.total++
    const start = lines ? performance.now() : 0
    const id = lines ? (++sequence).toString(36) : ''
    const record = (outcome: string, code?: string): void => {
      log.debug(
        {
          call: id,
          method: call.method,
          name: nameOf(call),
          backend: owner?.(call),
          client: call.client.id,
          ms: Math.round((performance.now() - start) * 10) / 10,
          outcome,
          code,
        },
        'call',
      )
    }
    try {
      const outcome = await next(call)
      if (outcome.kind === 'complete') counts.answered++
      else counts.asked++
      if (lines) record(outcome.kind === 'complete' && outcome.result['isError'] === true ? 'tool error' : outcome.kind)
      return outcome
    } catch (thrown) {
      const { code } = toMcpError(thrown)
      if (code === 'CANCELLED') counts.cancelled++
      else counts.failed++
      if (lines) record(code === 'CANCELLED' ? 'cancelled' : 'failed', code)
      throw thrown
    }
  }
  return { middleware, counts }
}

/** What a call is about: a tool's or prompt's name, or a resource's URI without its query, which may hold secrets. */
function nameOf({ params }: Call): string | undefined {
  const { name, uri } = params
  if (typeof name === 'string') return name
  return typeof uri === 'string' ? uri.replace(/[?#].*$/s, '') : undefined
}
