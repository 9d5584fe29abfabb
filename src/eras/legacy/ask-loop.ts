/**
 * The rounds of a call that needs something of a legacy client: puts each ask to it while its request stays open, and
 * calls again with the answers. Knows the client's peer and the gateway's handler; not what the asks are about.
 */
import { randomUUID } from 'node:crypto'
import { CancelSource, type Cancellation } from '../../gateway/cancellation.ts'
import type { Ask, Call, Complete, InputRequired, JsonObject, Outcome } from '../../gateway/contract.ts'
import { McpError } from '../../gateway/errors.ts'
import { canAsk, elicitation, labelled } from '../asks.ts'
import type { ServeOptions } from '../options.ts'
import type { Incoming, Peer } from '../peer.ts'
import { pause } from './pause.ts'

/** A server that answers with nothing but state sheds load: its wish to be called again is granted, not at once. */
const shedPauseMs = 250

export interface Asker {
  readonly peer: Peer
  readonly options: ServeOptions
}

/** Asks and calls again until the call is complete. Rejects with what ended it. */
export async function answerAsks(first: InputRequired, call: Call, incoming: Incoming, asker: Asker): Promise<Complete> {
  const { gateway, asks } = asker.options
  let outcome: Outcome = first
  let rounds = 0
  while (outcome.kind === 'inputRequired') {
    // A server that waits in this process asks as often as it would without us: each ask is a person's or a client's turn.
    if (!isLive(outcome) && ++rounds > asks.rounds) return overflow(call, `the server asked more than ${asks.rounds} times`)
    const answers = await new Round(outcome, call, incoming, asker).run()
    if (answers === undefined) return overflow(call, `no answer within ${asks.waitMs} ms`)
    const { requestState, from } = outcome
    outcome = await gateway.handle({ ...call, inputResponses: answers, requestState, continues: from })
  }
  return outcome
}

const isLive = ({ requests }: InputRequired): boolean => {
  const asks = Object.values(requests ?? {})
  return asks.length > 0 && asks.every(ask => ask.live !== undefined)
}

function overflow(call: Call, reason: string): Complete {
  const text = `the call was given up: ${reason}`
  if (call.method !== 'tools/call') throw new McpError('TOO_MANY_ROUNDS', text)
  return { kind: 'complete', result: { content: [{ type: 'text', text }], isError: true } }
}

class Round {
  private readonly outcome: InputRequired
  private readonly call: Call
  private readonly incoming: Incoming
  private readonly asker: Asker
  private readonly stop = new CancelSource()
  private late = false

  constructor(outcome: InputRequired, call: Call, incoming: Incoming, asker: Asker) {
    this.outcome = outcome
    this.call = call
    this.incoming = incoming
    this.asker = asker
  }

  /** The answers by key; undefined when time ran out. Rejects when the call cannot go on. */
  async run(): Promise<JsonObject | undefined> {
    const entries = Object.entries(this.outcome.requests ?? {})
    const { cancellation } = this.call
    const release = cancellation.subscribe(reason => this.stop.cancel(reason))
    const timer = setTimeout(() => {
      this.late = true
      this.stop.cancel('no answer in time')
    }, this.asker.options.asks.waitMs)
    try {
      if (entries.length === 0) await pause(shedPauseMs, this.stop)
      const answers = await Promise.all(entries.map(async ([key, ask]) => [key, await this.answer(ask)] as const))
      if (cancellation.cancelled) throw new McpError('CANCELLED', cancellation.reason ?? 'cancelled')
      // Not key by key: the server chooses the keys, and one of them may be `__proto__`.
      return this.late ? undefined : Object.fromEntries(answers.filter(([, answer]) => answer !== undefined))
    } finally {
      clearTimeout(timer)
      release()
    }
  }

  /** One ask's answer; undefined when there is none to tell: withdrawn, refused to the waiting server, or late. */
  private async answer(ask: Ask): Promise<JsonObject | undefined> {
    try {
      return await this.put(ask)
    } catch (error) {
      if (ask.live?.withdrawn.cancelled) return undefined
      const reason = this.stop.cancelled ? new McpError('ASK_REFUSED', 'the call was given up') : error
      if (ask.live) return void ask.live.refuse(reason)
      if (this.stop.cancelled) return undefined
      // An elicitation can be answered with a refusal; for the others no shape of one exists.
      if (ask.method === elicitation) return { action: 'cancel' }
      this.stop.cancel('the call failed')
      throw new McpError('ASK_REFUSED', `the client did not answer ${ask.method}: ${(error as Error).message}`, { cause: error })
    }
  }

  private put(ask: Ask): Promise<JsonObject> {
    const source = new CancelSource()
    this.stop.subscribe(reason => source.cancel(reason))
    ask.live?.withdrawn.subscribe(reason => source.cancel(reason))
    return askClient(this.asker, this.call.client.capabilities, { ...ask, from: this.outcome.from }, {
      cancellation: source,
      relatedTo: this.incoming.id,
    })
  }
}

/** Puts one ask to the client. Rejects with the client's own error, ASK_UNSUPPORTED, or what ended the wait. */
export async function askClient(
  { peer, options }: Asker,
  capabilities: JsonObject,
  ask: Ask,
  how: { readonly cancellation: Cancellation; readonly relatedTo?: string | number | undefined },
): Promise<JsonObject> {
  if (!canAsk(capabilities, ask)) throw new McpError('ASK_UNSUPPORTED', `the client does not support ${ask.method}`)
  const { params } = options.nameAsker && ask.from !== undefined ? labelled(ask, ask.from) : ask
  const answer = await peer.request(ask.method, withElicitationId(ask.method, params), { ...how, progress: ask.live?.progress })
  return answer.result
}

/** Required here in url mode (2025-11-25 client/elicitation), gone from the newer revision. */
function withElicitationId(method: string, params: JsonObject | undefined): JsonObject | undefined {
  if (method !== elicitation || params?.['mode'] !== 'url' || params['elicitationId'] !== undefined) return params
  return { ...params, elicitationId: randomUUID() }
}
