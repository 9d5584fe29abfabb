/**
 * A client's `subscriptions/listen` streams: acknowledged first, then what the filter asked for and nothing else, every
 * message stamped with the stream's id (2026-07-28 basic/patterns/subscriptions). A stream is a request left open.
 */
import type { Backend, Change, ClientProfile, Granted, Interest, JsonObject, Watch } from '../../gateway/contract.ts'
import { McpError } from '../../gateway/errors.ts'
import { isObject } from '../asks.ts'
import type { ServeOptions } from '../options.ts'
import type { Incoming } from '../peer.ts'
import { extraFields, writeFilter } from './filters.ts'
import { labelledTask } from './task-asks.ts'
import {
  acknowledgedMethod,
  changedMethod,
  listFields,
  listKinds,
  metaKeys,
  resourcesField,
  taskMethod,
  updatedMethod,
} from './wire.ts'

/** Streams one client may hold open. */
const maxStreams = 1024
/** URIs one stream may name. */
const maxResources = 4096
/** Milliseconds an acknowledgement waits for slow backends; what is not settled by then is taken on and tried further. */
const settleWithin = 2000
/** Changes kept while a stream is not acknowledged yet. */
const maxEarly = 256

/** The stream's filter as an interest. Throws INVALID_PARAMS. */
export function interestOf(params: JsonObject | undefined): Interest {
  const filter = params?.['notifications']
  if (!isObject(filter)) throw new McpError('INVALID_PARAMS', 'params.notifications must be an object')
  for (const field of Object.values(listFields))
    if (filter[field] !== undefined && typeof filter[field] !== 'boolean')
      throw new McpError('INVALID_PARAMS', `params.notifications.${field} must be a boolean`)
  const resources = filter[resourcesField] ?? []
  if (!Array.isArray(resources) || resources.length > maxResources || !resources.every(uri => typeof uri === 'string'))
    throw new McpError('INVALID_PARAMS', `params.notifications.${resourcesField} must be at most ${maxResources} URIs`)
  const extra = extraFields(filter)
  return {
    lists: listKinds.filter(kind => filter[listFields[kind]] === true),
    resources: [...new Set(resources as string[])],
    logLevel: undefined,
    roots: undefined,
    ...(Object.keys(extra).length > 0 ? { extra } : {}),
  }
}

/** The notification a change becomes on this stream; undefined = not asked for there. */
function notificationFor(change: Change, interest: Interest): { method: string; params: JsonObject } | undefined {
  switch (change.kind) {
    case 'list':
      return interest.lists.includes(change.list) ? { method: changedMethod(change.list), params: {} } : undefined
    case 'resource':
      return interest.resources.length > 0 ? { method: updatedMethod, params: change.params } : undefined
    case 'other':
      return wantsOther(change.method, change.params, interest.extra)
        ? { method: change.method, params: change.params ?? {} }
        : undefined
    // Log lines belong to the request that asked for them and must not appear here (server/utilities/logging).
    case 'log':
      return undefined
  }
}

/** An extension's notification goes to streams that used a filter field of an extension; tasks name theirs. */
function wantsOther(method: string, params: JsonObject | undefined, extra: JsonObject | undefined): boolean {
  if (!extra) return false
  const { taskIds, ...rest } = extra
  if (method === taskMethod) return Array.isArray(taskIds) && taskIds.includes(params?.['taskId'])
  return Object.keys(rest).length > 0
}

export class ListenStreams {
  private readonly open = new Map<Incoming, Watch>()
  private readonly gateway: Backend
  private readonly options: ServeOptions

  constructor(options: ServeOptions) {
    this.gateway = options.gateway
    this.options = options
  }

  /** Opens the stream that `incoming` asks for. Throws INVALID_PARAMS and BACKEND_BUSY. */
  start(incoming: Incoming, client: ClientProfile): void {
    const interest = interestOf(incoming.params)
    if (this.open.size >= maxStreams) throw new McpError('BACKEND_BUSY', `more than ${maxStreams} open subscriptions`)
    const stamp = { [metaKeys.subscription]: incoming.id }
    let early: Change[] | undefined = []
    const tell = (change: Change): void => {
      const note = notificationFor(change, interest)
      if (note) incoming.notify(note.method, stamped(this.named(change, note.params), stamp))
    }
    const watch = this.gateway.watch({
      client,
      interest,
      change: change => {
        if (!early) tell(change)
        else if (early.length < maxEarly) early.push(change)
      },
    })
    this.open.set(incoming, watch)
    // A cancelled request gets no answer; its sender has forgotten it (basic/patterns/cancellation).
    incoming.cancellation.subscribe(() => this.stop(incoming))
    const acknowledge = (honoured: Pick<Granted, 'lists' | 'resources' | 'extra'>): void => {
      if (!early) return
      clearTimeout(timer)
      const notifications = writeFilter(honoured.lists, honoured.resources, honoured.extra)
      incoming.notify(acknowledgedMethod, { _meta: stamp, notifications })
      const waiting = early
      early = undefined
      waiting.forEach(tell)
    }
    const timer = setTimeout(() => acknowledge(interest), settleWithin).unref()
    void watch.granted.then(acknowledge)
  }

  private named(change: Change, params: JsonObject): JsonObject {
    const from = change.kind === 'other' && change.method === taskMethod && this.options.nameAsker ? change.from : undefined
    return from === undefined ? params : labelledTask(params, from)
  }

  private stop(incoming: Incoming): boolean {
    this.open.get(incoming)?.close()
    return this.open.delete(incoming)
  }

  /** Ends every stream in good order, so that clients know it was no accident. */
  end(): void {
    for (const incoming of [...this.open.keys()]) {
      this.stop(incoming)
      incoming.respond({ resultType: 'complete', _meta: { [metaKeys.subscription]: incoming.id } })
    }
  }
}

function stamped(params: JsonObject, stamp: JsonObject): JsonObject {
  const meta = params['_meta']
  return { ...params, _meta: isObject(meta) ? { ...meta, ...stamp } : stamp }
}
