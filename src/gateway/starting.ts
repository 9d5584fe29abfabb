/** One start of a server within its budget, and how to read the error it may end with. Keeps no state. */
import type { CancelSource } from './cancellation.ts'
import type { Connection } from './contract.ts'
import { McpError, type ErrorCode } from './errors.ts'
import type { Audience, InstanceSpec } from './policy.ts'
import { closing, seconds } from './refusals.ts'

/** Past its budget a start may still report what went wrong better than we can. */
const graceMs = 1000
/** How long stopping a half-started server is waited for: the stop ladder of a process, and a little. */
const stopMs = 6000

export interface Start {
  readonly connection: Promise<Connection>
  /** Settles when nothing is left that could still be starting or stopping. Never rejects. */
  readonly over: Promise<void>
}

/** `attempt` is cancelled by the caller to give up, and by us when the budget is used up. */
export function startWithin(
  spec: InstanceSpec,
  { client, abilities, askedBeyond }: Audience,
  limitMs: number,
  attempt: CancelSource,
  alias: string,
): Start {
  let settle!: (connection: Connection) => void
  let fail!: (error: unknown) => void
  const connection = new Promise<Connection>((resolve, reject) => {
    settle = resolve
    fail = reject
  })
  const over = new Promise<void>(resolve => {
    let given = false
    const left: Promise<unknown>[] = []
    const late = setTimeout(() => {
      fail(new McpError('BACKEND_START_FAILED', `${alias} did not start within ${seconds(limitMs)}`, { backend: alias }))
      attempt.cancel('the start took too long')
    }, limitMs + graceMs)
    attempt.subscribe(() => {
      given = true
      clearTimeout(late)
      fail(closing(alias))
      setTimeout(resolve, stopMs).unref()
    })
    spec
      .connect(client, { limitMs, cancellation: attempt, abilities, askedBeyond, leaves: gone => void left.push(gone) })
      .then(async arrived => {
        if (given) return arrived.close()
        clearTimeout(late)
        settle(arrived)
      })
      .catch(error => {
        clearTimeout(late)
        fail(error)
      })
      .finally(() => {
        const limit = setTimeout(resolve, stopMs).unref()
        void Promise.allSettled(left).then(() => {
          clearTimeout(limit)
          resolve()
        })
      })
  })
  return { connection, over }
}

const unresolved: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'USAGE', 'CONFIG_NOT_FOUND', 'CONFIG_INVALID', 'CREDENTIALS_UNSAFE', 'CREDENTIALS_INVALID',
])
const inHandshake: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['BACKEND_DIED', 'BACKEND_TIMEOUT', 'BACKEND_PROTOCOL', 'BACKEND_ERROR'])

/** Trying again does not help until a person has done something. */
export const isFinal = (error: McpError): boolean => error.code === 'BACKEND_NEEDS_AUTH' || unresolved.has(error.code)

/** What a start was doing when this error ended it. */
export function stageOf(error: McpError): string {
  if (unresolved.has(error.code)) return 'resolve'
  return inHandshake.has(error.code) ? 'handshake' : 'start'
}
