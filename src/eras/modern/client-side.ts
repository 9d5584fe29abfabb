/**
 * A client of revision 2026-07-28: each request stands alone and becomes a Call, each Outcome becomes a result. Owns the
 * era's result envelope towards clients and the sealing of unfinished calls; keeps nothing between requests but caches.
 */
import { CancelSource } from '../../gateway/cancellation.ts'
import {
  logLevels,
  type Ask,
  type Call,
  type ClientProfile,
  type Complete,
  type Freshness,
  type InputRequired,
  type JsonObject,
  type LogLevel,
  type Outcome,
} from '../../gateway/contract.ts'
import { McpError } from '../../gateway/errors.ts'
import type { RawJson } from '../../gateway/raw.ts'
import { canAsk, isObject, labelled, requiredBy } from '../asks.ts'
import type { Front, ServeOptions } from '../options.ts'
import { requestExtra, type Incoming } from '../peer.ts'
import { seal, unseal } from '../seal.ts'
import { serverCapabilities } from './capabilities.ts'
import { toClient } from './failures.ts'
import { ListenStreams } from './listen.ts'
import { Profiles, Strangers, travellingMeta, type Faces } from './profiles.ts'
import { labelledTask } from './task-asks.ts'
import {
  cacheable,
  discoverMethod,
  hopNotifications,
  listenMethod,
  listMethods,
  metaKeys,
  removedRequests,
  resumable,
  revisions,
} from './wire.ts'

export const openModernFront = (options: ServeOptions, clientId: string): Front =>
  new ModernFront(options, new Profiles(clientId, options.principal))

/** For a way in where nothing tells one client from another, as over HTTP: each request is taken for a client of its own. */
export const openStatelessFront = (options: ServeOptions): Front => new ModernFront(options, new Strangers(options.principal))

class ModernFront implements Front {
  private readonly options: ServeOptions
  private readonly profiles: Faces
  private readonly streams: ListenStreams
  private info: JsonObject | undefined

  constructor(options: ServeOptions, profiles: Faces) {
    this.options = options
    this.profiles = profiles
    this.streams = new ListenStreams(options)
  }

  request(incoming: Incoming): void {
    const failed = (error: unknown): void => incoming.fail(toClient(error))
    try {
      this.serve(incoming, failed)
    } catch (error) {
      failed(error)
    }
  }

  notification(method: string, params: JsonObject | undefined): void {
    if (hopNotifications.has(method)) return
    const meta = params?.['_meta']
    const rest = isObject(meta) ? withMeta(params as JsonObject, travellingMeta(meta)) : params
    this.options.gateway.notify(method, rest, this.profiles.latest)
  }

  drain(): void {
    this.streams.end()
  }

  /** Open requests, streams included, are cancelled by the peer when the channel goes. */
  closed(): void {}

  private serve(incoming: Incoming, failed: (error: unknown) => void): void {
    const { method } = incoming
    const client = this.profiles.read(incoming.params)
    if (removedRequests.has(method)) throw new McpError('METHOD_NOT_FOUND', `method not found: ${method}`)
    if (method === discoverMethod) return void this.discover().then(result => incoming.respond(result)).catch(failed)
    if (method === listenMethod) return this.streams.start(incoming, client)
    const call = this.callOf(incoming, client)
    // Two promises fewer than an async function would make of an ordinary call.
    this.options.gateway.handle(call).then(outcome => {
      try {
        this.answer(incoming, call, outcome)?.catch(failed)
      } catch (error) {
        failed(error)
      }
    }, failed)
  }

  /** A promise where more than the outcome is needed. */
  private answer(incoming: Incoming, call: Call, outcome: Outcome): Promise<void> | undefined {
    if (outcome.kind === 'inputRequired') return void this.demand(incoming, call, outcome)
    if (outcome.raw && outcome.variant === undefined)
      return this.rawOf(call, outcome, outcome.raw).then(raw => incoming.respond(raw))
    const result = this.resultOf(call, outcome)
    if (listMethods.has(call.method)) return this.sign(result).then(() => incoming.respond(result, outcome.extra))
    incoming.respond(result, outcome.extra)
    return undefined
  }

  private async discover(): Promise<JsonObject> {
    const { info, capabilities, instructions } = await this.options.gateway.describe()
    return {
      resultType: 'complete',
      supportedVersions: [...revisions],
      capabilities: serverCapabilities(capabilities),
      ...(instructions === undefined ? {} : { instructions }),
      // Backends come and go, and nothing announces that this answer has changed.
      ttlMs: 0,
      cacheScope: 'private',
      ...(info ? { _meta: { [metaKeys.server]: info } } : {}),
    }
  }

  private callOf(incoming: Incoming, client: ClientProfile): Call {
    const { method, params: sent } = incoming
    const { _meta, ...params } = sent as JsonObject & { _meta: JsonObject }
    const rest = travellingMeta(_meta)
    if (rest) params['_meta'] = rest
    const token = _meta[metaKeys.progress]
    const call: Mutable<Call> = {
      method,
      params,
      client,
      cancellation: incoming.cancellation,
      progress:
        typeof token === 'string' || typeof token === 'number'
          ? progress => incoming.notify('notifications/progress', { ...progress, progressToken: token })
          : undefined,
      log: client.logLevel === undefined ? undefined : logTo(incoming, client.logLevel),
      extra: requestExtra(incoming.message),
    }
    if (resumable.has(method)) this.liftAnswers(call)
    return call
  }

  /** Takes what a retry brings off the params. Elsewhere these are ordinary parameters, as in the tasks extension. */
  private liftAnswers(call: Mutable<Call>): void {
    if (call.params['inputResponses'] === undefined && call.params['requestState'] === undefined) return
    const { inputResponses, requestState, ...params } = call.params
    call.params = params
    if (inputResponses !== undefined) {
      if (!isObject(inputResponses) || !Object.values(inputResponses).every(isObject))
        throw new McpError('INVALID_PARAMS', 'params.inputResponses must be an object of results')
      call.inputResponses = inputResponses
    }
    if (requestState === undefined) return
    if (typeof requestState !== 'string') throw new McpError('INVALID_PARAMS', 'params.requestState must be a string')
    const { inner, from } = unseal(this.options.sealKey, requestState, this.bindingOf(call), performance.now())
    call.requestState = inner
    call.continues = from
  }

  private bindingOf({ method, params }: Call) {
    return { principal: this.options.principal, method, params }
  }

  private resultOf(call: Call, { result: got, variant, freshness, from }: Complete): JsonObject {
    const result = from !== undefined && this.options.nameAsker ? labelledTask(got, from) : got
    const kind = variant ?? 'complete'
    // What comes after a spread costs several times as much as the same before it.
    const told: JsonObject = result['resultType'] === undefined ? { resultType: kind, ...result } : { ...result, resultType: kind }
    return variant === undefined && cacheable.has(call.method) ? Object.assign(told, hints(call, freshness)) : told
  }

  /** The same for a result in bytes: what this era adds to it is added to the text. */
  private async rawOf(call: Call, { freshness }: Complete, raw: RawJson): Promise<RawJson> {
    const added: JsonObject = { resultType: 'complete' }
    if (cacheable.has(call.method)) Object.assign(added, hints(call, freshness))
    if (listMethods.has(call.method)) {
      added['_meta'] = raw.get('_meta')
      await this.sign(added)
    }
    return raw.edit(Object.keys(added), JSON.stringify(added).slice(1, -1))
  }

  /** Results we make ourselves say so. One server's result keeps the `_meta` that server gave it. */
  private async sign(result: JsonObject): Promise<void> {
    this.info ??= (await this.options.gateway.describe().catch(() => undefined))?.info
    const meta = result['_meta']
    if (this.info) result['_meta'] = { [metaKeys.server]: this.info, ...(isObject(meta) ? meta : undefined) }
  }

  private demand(incoming: Incoming, call: Call, outcome: InputRequired): void {
    const { requests, from, rest } = outcome
    const asks = Object.entries(requests ?? {})
    const unfit = asks.filter(([, ask]) => !canAsk(call.client.capabilities, ask))
    try {
      if (!resumable.has(call.method))
        throw new McpError('BACKEND_PROTOCOL', `${call.method} cannot be answered with a demand for input`, { backend: from })
      if (unfit.length > 0)
        throw new McpError('ASK_UNSUPPORTED', 'the server needs input that this client cannot give', {
          backend: from,
          requires: requiredBy(unfit.map(([, ask]) => ask)),
        })
      // Monotonic: no state outlives the process, whose key it is sealed with.
      const until = performance.now() + this.options.asks.waitMs
      const state = { from, inner: outcome.requestState }
      const requestState = seal(this.options.sealKey, state, this.bindingOf(call), until)
      incoming.respond({
        ...rest,
        resultType: 'input_required',
        ...(requests ? { inputRequests: Object.fromEntries(asks.map(([key, ask]) => [key, this.shown(ask, from)])) } : {}),
        requestState,
      })
    } catch (error) {
      this.abandon(call, outcome)
      throw error
    }
  }

  /** The ask as the client sees it: nothing of this process, and in whose name it comes. */
  private shown(ask: Ask, from: string | undefined): JsonObject {
    const { from: _from, live: _live, ...wire } = this.options.nameAsker && from !== undefined ? labelled(ask, from) : ask
    return wire
  }

  /** Nobody will ever answer: lets go of whatever waits for it behind that outcome. */
  private abandon(call: Call, { requestState, from }: InputRequired): void {
    if (requestState === undefined) return
    const cancellation = new CancelSource()
    cancellation.cancel('the client cannot answer')
    const heard = { progress: undefined, log: undefined }
    const retry: Call = { ...call, ...heard, cancellation, inputResponses: {}, requestState, continues: from }
    this.options.gateway.handle(retry).catch(() => {})
  }
}

/** A result that depends on a person's answers is nobody else's (server/utilities/caching, "Cache Key"). */
function hints({ inputResponses, requestState }: Call, freshness: Freshness | undefined): JsonObject {
  const mayKeep = inputResponses === undefined && requestState === undefined
  return { ttlMs: (mayKeep && freshness?.ttlMs) || 0, cacheScope: (mayKeep && freshness?.scope) || 'private' }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

function withMeta({ _meta, ...params }: JsonObject, meta: JsonObject | undefined): JsonObject {
  return meta ? { ...params, _meta: meta } : params
}

/** Lines at or above the level the request asked for (server/utilities/logging). */
function logTo(incoming: Incoming, level: LogLevel): (params: JsonObject) => void {
  const least = logLevels.indexOf(level)
  return params => {
    if (logLevels.indexOf(params['level'] as LogLevel) >= least) incoming.notify('notifications/message', params)
  }
}
