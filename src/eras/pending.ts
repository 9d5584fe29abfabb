/** A request of ours on its way, and what its answer becomes. Knows the one peer that keeps it, and no wire. */
import type { JsonObject } from '../gateway/contract.ts'
import { backendError, type McpError, type RpcError } from '../gateway/errors.ts'
import type { RawJson } from '../gateway/raw.ts'
import type { Message, RequestId } from '../transports/channel.ts'
import type { Answer, Peer, RequestOptions } from './peer.ts'

class RawAnswer implements Answer {
  readonly extra = undefined
  readonly #raw: RawJson

  constructor(raw: RawJson) {
    this.#raw = raw
  }
  get raw(): RawJson {
    return this.#raw
  }
  get result(): JsonObject {
    return this.#raw.value()
  }
}

/** A request of ours that waits for its answer. */
export class Pending {
  readonly options: RequestOptions
  readonly reject: (error: McpError) => void
  unsubscribe: (() => void) | undefined
  readonly cancel: (reason: string | undefined) => void
  private readonly resolve: (answer: Answer) => void

  constructor(peer: Peer, id: RequestId, options: RequestOptions, resolve: (answer: Answer) => void, reject: (error: McpError) => void) {
    this.options = options
    this.resolve = resolve
    this.reject = reject
    this.cancel = reason => peer.withdraw(id, this, reason)
  }

  land(raw: RawJson): void {
    this.resolve(new RawAnswer(raw))
  }

  settle(message: Message): void {
    if (message.error) this.reject(backendError(message.error as RpcError))
    else this.resolve({ result: message.result ?? {}, extra: answerExtra(message) })
  }
}

/** Unknown top-level keys of an answer. Comparing with constants costs a fraction of looking each key up. */
function answerExtra(message: Message): JsonObject | undefined {
  let extra: JsonObject | undefined
  for (const key in message)
    if (key !== 'jsonrpc' && key !== 'id' && key !== 'result' && key !== 'error') (extra ??= {})[key] = message[key]
  return extra
}
