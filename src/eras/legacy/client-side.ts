/**
 * The legacy protocol towards a client: `initialize` and what follows from it, each request as a Call, each Outcome as
 * its answer. Works over any peer; sessions, batches and streams are the listener's business.
 */
import type { Call, ClientProfile, Complete, JsonObject } from '../../gateway/contract.ts'
import { McpError } from '../../gateway/errors.ts'
import { isObject } from '../asks.ts'
import type { Front, ServeOptions } from '../options.ts'
import { requestExtra, type Incoming, type Peer } from '../peer.ts'
import { answerAsks } from './ask-loop.ts'
import { fitError, fitRaw, fitResult } from './fit.ts'
import { interned } from './interned.ts'
import { Listening } from './listening.ts'
import { capabilitiesFor, isLogLevel, negotiate, passes } from './wire.ts'

/** Serves one legacy client over `peer`. `clientId` names it in the middle: equal ids mean the same client. */
export function openLegacyFront(peer: Peer, options: ServeOptions, clientId: string): Front {
  return new LegacyFront(peer, options, clientId)
}

class LegacyFront implements Front {
  readonly peer: Peer
  readonly options: ServeOptions
  private readonly clientId: string
  /** Undefined until the client has said who it is. */
  private listening: Listening | undefined

  constructor(peer: Peer, options: ServeOptions, clientId: string) {
    this.peer = peer
    this.options = options
    this.clientId = clientId
  }

  request(incoming: Incoming): void {
    const { method } = incoming
    if (method === 'ping') return incoming.respond({})
    if (method === 'initialize') return void this.initialize(incoming)
    const { listening } = this
    if (!listening)
      return incoming.fail(new McpError('INVALID_REQUEST', `${method} came before initialize`, { hint: 'send initialize first' }))
    switch (method) {
      case 'logging/setLevel':
        return this.perform(incoming, () => listening.setLevel(levelOf(incoming.params)))
      case 'resources/subscribe':
        return this.perform(incoming, () => listening.subscribe(uriOf(incoming.params)))
      case 'resources/unsubscribe':
        return this.perform(incoming, () => listening.unsubscribe(uriOf(incoming.params)))
      case 'server/discover':
      case 'subscriptions/listen':
        return incoming.fail(new McpError('METHOD_NOT_FOUND', `method not found: ${method} (the connection was initialized)`))
      default:
        return this.relay(incoming, listening)
    }
  }

  notification(method: string, params: JsonObject | undefined): void {
    const { listening } = this
    if (!listening) return
    switch (method) {
      case 'notifications/initialized':
        listening.start()
        return void listening.fetchRoots()
      case 'notifications/roots/list_changed':
        return void listening.fetchRoots()
      default:
        return this.options.gateway.notify(method, params, listening.client)
    }
  }

  closed(): void {
    this.listening?.close()
  }

  /** Some clients open twice on one connection: the second word counts. */
  private async initialize(incoming: Incoming): Promise<void> {
    const params = incoming.params ?? {}
    const revision = negotiate(params['protocolVersion'])
    this.listening?.close()
    const listening = (this.listening = new Listening(this, this.profile(params, revision)))
    try {
      const { info, capabilities, instructions } = await this.options.gateway.describe()
      const result: JsonObject = {
        protocolVersion: revision,
        capabilities: capabilitiesFor(revision, capabilities),
        serverInfo: info ?? { name: this.options.gateway.name, version: '0' },
      }
      if (instructions !== undefined) result['instructions'] = instructions
      incoming.respond(result)
    } catch (error) {
      if (this.listening === listening) this.listening = undefined
      incoming.fail(error)
    }
  }

  private profile(params: JsonObject, revision: string): ClientProfile {
    const { clientInfo, capabilities } = params
    return {
      id: this.clientId,
      principal: this.options.principal,
      info: isObject(clientInfo) ? interned(clientInfo) : undefined,
      capabilities: interned(isObject(capabilities) ? capabilities : {}),
      revision,
      logLevel: undefined,
    }
  }

  private perform(incoming: Incoming, action: () => Promise<void>): void {
    void (async () => {
      try {
        await action()
        incoming.respond({})
      } catch (error) {
        incoming.fail(fitError(incoming.method, incoming.params, error))
      }
    })()
  }

  private relay(incoming: Incoming, listening: Listening): void {
    const relayed = new Relayed(this, incoming, listening)
    const { call } = relayed
    // A handler that throws before its first await must not take the channel's reader with it.
    let outcome
    try {
      outcome = this.options.gateway.handle(call)
    } catch (error) {
      return relayed.fail(error)
    }
    outcome.then(
      answer => {
        if (answer.kind === 'complete') return relayed.complete(answer)
        answerAsks(answer, call, incoming, this).then(
          last => relayed.complete(last),
          error => relayed.fail(error),
        )
      },
      error => relayed.fail(error),
    )
  }
}

/** One request of the client on its way through the middle. */
class Relayed {
  readonly call: Call
  private readonly front: LegacyFront
  private readonly incoming: Incoming
  private readonly listening: Listening
  private answered = false
  /** The answer was a task: its progress goes on under the same token (2025-11-25 basic/utilities/tasks). */
  private lingers = false
  private lastProgress = -Infinity

  constructor(front: LegacyFront, incoming: Incoming, listening: Listening) {
    this.front = front
    this.incoming = incoming
    this.listening = listening
    const given = incoming.params ?? {}
    const token = (given['_meta'] as JsonObject | undefined)?.['progressToken']
    const wantsProgress = typeof token === 'string' || typeof token === 'number'
    this.call = {
      method: incoming.method,
      params: wantsProgress ? withoutToken(given) : given,
      client: listening.client,
      cancellation: incoming.cancellation,
      progress: wantsProgress ? params => this.progress(token, params) : undefined,
      log: params => this.log(params),
      extra: requestExtra(incoming.message),
    }
  }

  complete(outcome: Complete): void {
    this.answered = true
    const { raw } = outcome
    if (raw && !raw.has('task')) return this.incoming.respond(fitRaw(this.call.method, raw, this.call.client.revision))
    const { result, extra } = outcome
    this.lingers = isObject(result['task'])
    this.incoming.respond(fitResult(this.call.method, result, this.call.client.revision), extra)
  }

  fail(error: unknown): void {
    this.answered = true
    this.incoming.fail(fitError(this.call.method, this.call.params, error))
  }

  /** Values never fall, also when a server starts anew in each round of asking (2025-11-25 basic/utilities/progress). */
  private progress(progressToken: string | number, params: JsonObject): void {
    if (this.answered && !this.lingers) return
    const value = params['progress']
    if (typeof value === 'number') {
      if (value < this.lastProgress) return
      this.lastProgress = value
    }
    this.send('notifications/progress', { ...params, progressToken })
  }

  private log(params: JsonObject): void {
    if (passes(this.listening.client.logLevel, params)) this.send('notifications/message', params)
  }

  /** On the request's own stream as long as it has one. */
  private send(method: string, params: JsonObject): void {
    if (this.answered) this.front.peer.notify(method, params)
    else this.incoming.notify(method, params)
  }
}

function withoutToken(params: JsonObject): JsonObject {
  const { _meta, ...rest } = params
  const { progressToken: _, ...meta } = _meta as JsonObject
  return Object.keys(meta).length > 0 ? { ...rest, _meta: meta } : rest
}

function levelOf(params: JsonObject | undefined) {
  const level = params?.['level']
  if (!isLogLevel(level)) throw new McpError('INVALID_PARAMS', 'params.level is not a log level')
  return level
}

function uriOf(params: JsonObject | undefined): string {
  const uri = params?.['uri']
  if (typeof uri !== 'string') throw new McpError('INVALID_PARAMS', 'params.uri must be a string')
  return uri
}
