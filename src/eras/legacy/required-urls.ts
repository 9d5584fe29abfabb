/**
 * Calls a legacy server refuses until a person has opened a URL (error -32042): for clients of the other era the refusal
 * is a round of asking, and the call that follows is made anew. Keeps no state of its own: the keys say it all.
 */
import { CancelSource } from '../../gateway/cancellation.ts'
import type { Ask, Call, InputRequired, Outcome } from '../../gateway/contract.ts'
import { McpError } from '../../gateway/errors.ts'
import { canAsk, elicitation, isObject } from '../asks.ts'
import type { Ownership } from './ownership.ts'
import { pause } from './pause.ts'
import { holdsOpen, isInteractive, urlElicitationRequired } from './wire.ts'

/** How long, in milliseconds, the server is given to say that the person is done before the call is made again. */
const completionMs = 3000

/** The refusal as a round of asking; undefined when it is no such refusal, or the client takes it as it is. */
export function asksOfRefusal(call: Call, error: unknown, ownership: Ownership): InputRequired | undefined {
  if (!(error instanceof McpError) || error.details.rpc?.code !== urlElicitationRequired) return undefined
  const { data } = error.details.rpc
  const elicitations = isObject(data) && Array.isArray(data['elicitations']) ? data['elicitations'].filter(isObject) : []
  for (const { elicitationId } of elicitations)
    if (typeof elicitationId === 'string') ownership.addElicitation(elicitationId, call.client.id)
  if (holdsOpen(call.client) || !isInteractive(call.method) || elicitations.length === 0) return undefined
  const requests: Record<string, Ask> = {}
  for (const [index, { elicitationId, ...params }] of elicitations.entries()) {
    const ask: Ask = { method: elicitation, params: { ...params, mode: 'url' } }
    if (!canAsk(call.client.capabilities, ask))
      throw new McpError('ASK_UNSUPPORTED', 'the server needs a person to open a URL, and the client cannot ask for that', {
        requires: { elicitation: { url: {} } },
        cause: error,
      })
    requests[typeof elicitationId === 'string' ? elicitationId : `url-${index + 1}`] = ask
  }
  return { kind: 'inputRequired', requests }
}

/** Settles before the call is made again; with an outcome when it must not be: the person declined. */
export async function beforeRetry(call: Call, ownership: Ownership): Promise<Outcome | undefined> {
  const answers = Object.entries(call.inputResponses ?? {})
  if (answers.some(([, answer]) => !isObject(answer) || answer['action'] !== 'accept')) return declined(call)
  // Consent is not completion (2025-11-25 client/elicitation): a server that tells is waited for.
  const stop = new CancelSource()
  const release = call.cancellation.subscribe(reason => stop.cancel(reason))
  void Promise.all(answers.map(([key]) => completed(key, ownership))).then(() => stop.cancel())
  await pause(completionMs, stop)
  release()
  return undefined
}

function completed(elicitationId: string, ownership: Ownership): Promise<void> {
  const owner = ownership.elicitation(elicitationId)
  return owner ? new Promise(resolve => void owner.completed.subscribe(() => resolve())) : Promise.resolve()
}

function declined(call: Call): Outcome {
  const text = 'the person did not agree to open the URL that the server needs'
  if (call.method !== 'tools/call') throw new McpError('ASK_REFUSED', text)
  return { kind: 'complete', result: { content: [{ type: 'text', text }], isError: true } }
}
