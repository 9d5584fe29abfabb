/**
 * What all watchers of one server want to hear, joined into one `subscriptions/listen` stream, and what it tells, dealt
 * out again. Filters cannot be changed, so a new stream is acknowledged before the old one is let go
 * (2026-07-28 basic/patterns/subscriptions). Knows no watcher's protocol.
 */
import { CancelSource, type Cancellation } from '../../gateway/cancellation.ts'
import type { Change, Granted, Interest, JsonObject, Watch, Watcher } from '../../gateway/contract.ts'
import { McpError, rpcCodes, toMcpError } from '../../gateway/errors.ts'
import type { Log } from '../../gateway/log.ts'
import type { RequestId } from '../../transports/channel.ts'
import { isObject } from '../asks.ts'
import { covers, grantedOf, isEmpty, joined, readFilter, supported, touches, writeFilter, type Filter } from './filters.ts'
import { changedMethod, listKinds, taskMethod, updatedMethod } from './wire.ts'

export interface SubscriptionsOptions {
  /** Sends the listen request; settles when the stream ends. `extensions`: what the watchers' clients declare of those. */
  readonly listen: (
    notifications: JsonObject,
    extensions: JsonObject,
    cancellation: Cancellation,
    sent: (id: RequestId) => void,
  ) => Promise<unknown>
  /** Of the server. */
  readonly capabilities: JsonObject
  readonly log: Log
  readonly timing?: Partial<Timing> | undefined
}

/** Milliseconds. */
interface Timing {
  /** How long an acknowledgement may take. */
  readonly acknowledge: number
  /** First pause before a lost stream is opened again; doubled up to `maxRetry`. */
  readonly retry: number
  readonly maxRetry: number
  /** How long a stream may carry more than is wanted. */
  readonly trim: number
}
const usual: Timing = { acknowledge: 10_000, retry: 1000, maxRetry: 60_000, trim: 5000 }

interface Stream {
  readonly filter: Filter
  readonly source: CancelSource
  id: RequestId | undefined
  /** What the server said it honours; undefined before it did and when it never will. */
  honoured: Filter | undefined
  over: boolean
  settle(): void
  readonly settled: Promise<void>
}

interface Ear {
  readonly watcher: Watcher
  interest: Interest
  waiting: ((granted: Granted) => void)[]
}

const changeMethods: ReadonlyMap<string, Change> = new Map(
  listKinds.map(list => [changedMethod(list), { kind: 'list', list } satisfies Change]),
)

export class Subscriptions {
  private readonly options: SubscriptionsOptions
  private readonly timing: Timing
  private readonly ears = new Set<Ear>()
  private readonly streams = new Set<Stream>()
  private current: Stream | undefined
  private settling = false
  private unsettled = false
  private trimming = false
  private closed = false
  /** A server that knows no such request is not asked again. */
  private refusal: Error | undefined
  private missed = false
  private failures = 0
  private timer: NodeJS.Timeout | undefined

  constructor(options: SubscriptionsOptions) {
    this.options = options
    this.timing = { ...usual, ...options.timing }
  }

  watch(watcher: Watcher): Watch {
    const ear: Ear = { watcher, interest: watcher.interest, waiting: [] }
    this.ears.add(ear)
    const nothing = (): Granted => ({ lists: [], resources: [], refused: new Map() })
    const update = (interest: Interest): Promise<Granted> => {
      if (!this.ears.has(ear)) return Promise.resolve(nothing())
      ear.interest = interest
      return new Promise(resolve => {
        ear.waiting.push(resolve)
        this.settle()
      })
    }
    return {
      granted: update(watcher.interest),
      update,
      close: () => {
        if (!this.ears.delete(ear)) return
        // Whoever listens elsewhere by now must not wait for this server.
        for (const resolve of ear.waiting) resolve(nothing())
        this.settle()
      },
    }
  }

  /** Whether a stream of ours has this id. */
  has(id: unknown): boolean {
    return this.find(id) !== undefined
  }

  acknowledged(id: unknown, params: JsonObject | undefined): void {
    const stream = this.find(id)
    if (!stream || stream.honoured) return
    stream.honoured = readFilter(params?.['notifications'])
    stream.settle()
    // Whoever opened it may have given up waiting.
    if (this.missed && !this.settling && stream === this.current) this.announce(stream)
  }

  /** A notification that is about no call. Returns false when it came on a stream that is none of ours. */
  notified(id: unknown, method: string, params: JsonObject | undefined): boolean {
    if (id !== undefined && !this.find(id)) return false
    const change = changeMethods.get(method)
    if (change?.kind === 'list') this.tell(change, ear => ear.interest.lists.includes(change.list))
    else if (method === updatedMethod && typeof params?.['uri'] === 'string') {
      const uri = params['uri']
      this.tell({ kind: 'resource', params }, ear => ear.interest.resources.some(each => touches(each, uri)))
    } else
      this.tell({ kind: 'other', method, params }, ear => {
        const tasks = ear.interest.extra?.['taskIds']
        return method !== taskMethod || (Array.isArray(tasks) && tasks.includes(params?.['taskId']))
      })
    return true
  }

  /** The server says it has ended a stream; some do so with a notification instead of the result. */
  ended(id: unknown): void {
    const stream = this.find(id)
    if (stream) this.lost(stream, undefined)
  }

  close(): void {
    this.closed = true
    clearTimeout(this.timer)
    for (const stream of this.streams) stream.settle()
    this.streams.clear()
    this.current = undefined
    this.grant()
  }

  private find(id: unknown): Stream | undefined {
    for (const stream of this.streams) if (stream.id === id && id !== undefined) return stream
    return undefined
  }

  private tell(change: Change, wants: (ear: Ear) => boolean): void {
    for (const ear of [...this.ears]) if (wants(ear)) ear.watcher.change(change)
  }

  /** Brings the stream in line with what is wanted, now and for as long as that keeps changing. */
  private settle(): void {
    this.unsettled = true
    if (this.settling) return
    this.settling = true
    // Watchers come in groups: one microtask later the whole group is known.
    queueMicrotask(() => void this.align())
  }

  private async align(): Promise<void> {
    while (this.unsettled) {
      this.unsettled = false
      await this.step()
    }
    this.settling = false
    this.grant()
  }

  private async step(): Promise<void> {
    if (this.closed || this.refusal) return
    const want = supported(joined([...this.ears].map(ear => ear.interest)), this.options.capabilities)
    const { current } = this
    const exact = current !== undefined && covers(want, current.filter)
    if (isEmpty(want)) {
      clearTimeout(this.timer)
      if (current) this.drop(current)
      return
    }
    if (current && covers(current.filter, want) && (exact || !this.trimming)) {
      if (!exact) this.later(this.timing.trim, () => this.trim())
      return
    }
    clearTimeout(this.timer)
    this.trimming = false
    const next = this.open(want)
    await next.settled
    if (next.over) {
      // Better to hear a part than nothing, until the next attempt.
      if (current && !current.over) this.current = current
      return
    }
    if (current) this.drop(current)
    this.failures = 0
    if (this.missed) this.announce(next)
    // Somebody may have come or gone while this stream was being opened.
    this.unsettled = true
  }

  /** A stream that carries what nobody wants any more makes way for one that does not. */
  private trim(): void {
    this.trimming = true
    this.settle()
  }

  private open(filter: Filter): Stream {
    let resolve = (): void => {}
    const settled = new Promise<void>(done => (resolve = done))
    const source = new CancelSource()
    const stream: Stream = { filter, source, id: undefined, honoured: undefined, over: false, settle: resolve, settled }
    this.streams.add(stream)
    this.current = stream
    const limit = setTimeout(resolve, this.timing.acknowledge).unref()
    void settled.then(() => clearTimeout(limit))
    this.options
      .listen(writeFilter(filter.lists, filter.resources, filter.extra), this.extensions(), stream.source, id => (stream.id = id))
      .then(
        () => this.lost(stream, undefined),
        error => this.lost(stream, toMcpError(error)),
      )
    return stream
  }

  /** Filters of extensions may need the extension declared. */
  private extensions(): JsonObject {
    const all = [...this.ears].map(ear => ear.watcher.client.capabilities['extensions'])
    return Object.assign({}, ...all.filter(isObject)) as JsonObject
  }

  private drop(stream: Stream): void {
    stream.over = true
    this.streams.delete(stream)
    if (this.current === stream) this.current = undefined
    stream.settle()
    stream.source.cancel()
  }

  private lost(stream: Stream, error: McpError | undefined): void {
    if (stream.over || this.closed) return
    const wasCurrent = this.current === stream
    this.drop(stream)
    if (!wasCurrent) return
    if (error?.details.rpc?.code === rpcCodes.methodNotFound) {
      this.refusal = error
      return
    }
    this.missed = true
    const pause = Math.min(this.timing.retry * 2 ** this.failures++, this.timing.maxRetry)
    this.options.log.debug({ error: error?.message, pause }, 'change notifications lost')
    this.later(pause * (0.5 + Math.random() / 2), () => this.settle())
  }

  private later(ms: number, what: () => void): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(what, ms).unref()
  }

  /** Nobody knows what changed while there was no stream: everything may have. */
  private announce({ honoured }: Stream): void {
    if (!honoured) return
    this.missed = false
    for (const list of listKinds)
      if (honoured.lists.has(list)) this.tell({ kind: 'list', list }, ear => ear.interest.lists.includes(list))
    for (const uri of honoured.resources)
      this.tell({ kind: 'resource', params: { uri } }, ear => ear.interest.resources.includes(uri))
  }

  private grant(): void {
    const reason = this.refusal ?? new McpError('BACKEND_ERROR', 'the server does not tell of changes to this resource')
    for (const ear of this.ears) {
      const waiting = ear.waiting.splice(0)
      if (waiting.length === 0) continue
      const granted = grantedOf(ear.interest, this.current?.honoured, reason)
      for (const resolve of waiting) resolve(granted)
    }
  }
}
