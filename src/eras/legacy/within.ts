/** A request to a server behind which no call stands, so that no deadline of a call ends it: it has its own. */
import { CancelSource } from '../../gateway/cancellation.ts'
import type { JsonObject } from '../../gateway/contract.ts'
import { McpError } from '../../gateway/errors.ts'
import type { Answer } from '../peer.ts'
import type { Desk } from './open-call.ts'

/** Rejects with BACKEND_TIMEOUT when the server has not answered after `ms`; the request is then withdrawn. */
export async function answerWithin(
  ms: number, { name, peer, headers }: Desk, method: string, params?: JsonObject,
): Promise<Answer> {
  const limit = new CancelSource()
  const timer = setTimeout(() => limit.cancel('no answer in time'), ms)
  try {
    return await peer.request(method, params, { cancellation: limit, headers })
  } catch (error) {
    if (!limit.cancelled) throw error
    throw new McpError('BACKEND_TIMEOUT', `${name} did not answer ${method} within ${ms} ms`, { backend: name })
  } finally {
    clearTimeout(timer)
  }
}
