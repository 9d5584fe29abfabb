/**
 * What became of each call: counters always, and one debug line per call when somebody looks. The outermost middleware,
 * so that it sees every call and its real duration. Arguments and results are never part of either.
 */
import type { Call, Complete, Handler, Middleware, Outcome } from '../gateway/contract.ts'
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

  const counted = (outcome: Outcome): Outcome => {
    if (outcome.kind === 'complete') counts.answered++
    else counts.asked++
    return outcome
  }
  const missed = (thrown: unknown): never => {
    if (toMcpError(thrown).code === 'CANCELLED') counts.cancelled++
    else counts.failed++
    throw thrown
  }

  const middleware: Middleware = next => call => {
    counts.total++
    return lines ? recorded(next, call) : next(call).then(counted, missed)
  }

  async function recorded(next: Handler, call: Call): Promise<Outcome> {
    const start = performance.now()
    const id = (++sequence).toString(36)
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
      const outcome = counted(await next(call))
      record(outcome.kind === 'complete' && isToolError(outcome) ? 'tool error' : outcome.kind)
      return outcome
    } catch (thrown) {
      const { code } = toMcpError(thrown)
      record(code === 'CANCELLED' ? 'cancelled' : 'failed', code)
      return missed(thrown)
    }
  }
  return { middleware, counts }
}

const isToolError = (outcome: Complete): boolean => (outcome.raw ? outcome.raw.get('isError') : outcome.result['isError']) === true

/** What a call is about: a tool's or prompt's name, or a resource's URI without its query, which may hold secrets. */
function nameOf({ params }: Call): string | undefined {
  const { name, uri } = params
  if (typeof name === 'string') return name
  return typeof uri === 'string' ? uri.replace(/[?#].*$/s, '') : undefined
}
