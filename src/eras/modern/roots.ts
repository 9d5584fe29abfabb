/**
 * Configured roots: a server's question for them is answered here and never reaches a client. Where it asks for more in
 * the same breath, the answer waits in the outcome's state, since nothing else survives until the client comes back.
 */
import type { Ask, Call, Handler, InputRequired, JsonObject } from '../../gateway/contract.ts'
import { McpError } from '../../gateway/errors.ts'
import { isObject, roots as rootsMethod } from '../asks.ts'

const mark = 'roots:'

/** `rounds`: how often a call may be continued without the client. */
export function answeringRoots(next: Handler, roots: readonly JsonObject[], rounds: number): Handler {
  const answerFor = (keys: readonly string[]): JsonObject => Object.fromEntries(keys.map(key => [key, { roots }]))

  return async first => {
    let call = first.requestState?.startsWith(mark) ? resumed(first, answerFor) : first
    for (let round = 0; round <= rounds; round++) {
      const outcome = await next(call)
      if (outcome.kind !== 'inputRequired') return outcome
      const asks = Object.entries(outcome.requests ?? {})
      const ours = asks.filter(([, ask]) => ask.method === rootsMethod).map(([key]) => key)
      if (ours.length === 0) return outcome
      if (ours.length < asks.length) return shared(outcome, asks, ours)
      call = { ...call, inputResponses: answerFor(ours), requestState: outcome.requestState }
    }
    throw new McpError('TOO_MANY_ROUNDS', 'the server keeps asking for the roots')
  }
}

function shared(outcome: InputRequired, asks: readonly (readonly [string, Ask])[], ours: readonly string[]): InputRequired {
  return {
    ...outcome,
    requests: Object.fromEntries(asks.filter(([key]) => !ours.includes(key))),
    requestState: mark + JSON.stringify({ ours, state: outcome.requestState }),
  }
}

function resumed(call: Call, answerFor: (keys: readonly string[]) => JsonObject): Call {
  const kept: unknown = JSON.parse((call.requestState as string).slice(mark.length))
  if (!isObject(kept)) return call
  const inputResponses = { ...call.inputResponses, ...answerFor(kept['ours'] as string[]) }
  return { ...call, inputResponses, requestState: kept['state'] as string | undefined }
}
