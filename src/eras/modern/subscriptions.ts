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
import { covers, isEmpty, readFilter, touches, writeFilter, type Filter } from './filters.ts'
import { Wishes, type Ear } from './wishes.ts'
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
  /** It tells what it tells, but the server would not take it on again as it is. */
  stale?: boolean
  /** What ended it. */
  error?: McpError | undefined
  settle(): void
  readonly settled: Promise<void>
}

const changeMethods: ReadonlyMap<string, Change> = new Map(
  listKinds.map(list => [changedMethod(list), { kind: 'list', list } satisfies Change]),
)

export class Subscriptions {
  private readonly options: SubscriptionsOptions
  private readonly timing: Timing
  private readonly wishes: Wishes
  private readonly streams = new Set<Stream>()
  private current: Stream | undefined
  /** One that the server has not yet taken on. */
  private opening: Stream | undefined
  private settling = false
  private unsettled = false
  private trimming = false
  private closed = false
  /** A server that knows no such request is not asked again. */
  private refusal: Error | undefined
  private failures = 0
  private refusals = 0
  private retrying: NodeJS.Timeout | undefined
  /** Runs whatever becomes of the others' stream meanwhile. */
  private forgiving: NodeJS.Timeout | undefined
  private shrinking: NodeJS.Timeout | undefined

  constructor(options: SubscriptionsOptions) {
    this.options = options
    this.timing = { ...usual, ...options.timing }
    this.wishes = new Wishes(options.capabilities)
  }

  watch(watcher: Watcher): Watch {
    const ear: Ear = { watcher, interest: watcher.interest, waiting: [], missed: 0, blamed: 0 }
    this.wishes.ears.add(ear)
    const nothing = (): Granted => ({ lists: [], resources: [], refused: new Map() })
    const update = (interest: Interest): Promise<Granted> => {
      if (!this.wishes.ears.has(ear)) return Promise.resolve(nothing())
      this.wishes.change(ear, interest)
      return new Promise(resolve => {
        ear.waiting.push(resolve)
        this.settle()
      })
    }
    return {
      granted: update(watcher.interest),
      update,
      close: () => {
        if (!this.wishes.ears.delete(ear)) return
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
    if (!this.settling && stream === this.current) this.wishes.announce(stream.honoured)
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
    for (const timer of [this.retrying, this.forgiving, this.shrinking]) clearTimeout(timer)
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
    for (const ear of [...this.wishes.ears]) if (wants(ear)) ear.watcher.change(change)
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
    this.wishes.begin()
    while (this.unsettled) {
      this.unsettled = false
      await this.step()
    }
    this.settling = false
    if (!this.wishes.refusing) this.refusals = 0
    else if (!this.closed) this.forgiving ??= this.later(this.refusals++, () => this.forgive())
    this.wishes.announce(this.current?.honoured)
    this.grant()
  }

  private async step(): Promise<void> {
    if (this.closed || this.refusal) return
    const asked = this.wishes.asked()
    const want = this.wishes.filterOf(asked.values())
    const { current } = this
    const exact = current !== undefined && covers(want, current.filter)
    clearTimeout(this.shrinking)
    const carried = current !== undefined && !current.stale && covers(current.filter, want)
    if (isEmpty(want) || (carried && (exact || !this.trimming) && !this.wishes.doubting)) {
      if (!isEmpty(want) && !exact) this.shrink()
      if (isEmpty(want) && current && !(current.stale && this.wishes.refusing)) this.drop(current)
      this.unsettled = this.wishes.took(asked)
      return
    }
    this.trimming = false
    const next = (this.opening = this.open(want))
    await next.settled
    this.opening = undefined
    if (current?.over) this.wishes.lost()
    if (next.over) return this.failed(next, asked, current)
    if (current) this.drop(current)
    this.wishes.took(asked)
    this.failures = 0
    // Somebody may have come or gone while this stream was being opened.
    this.unsettled = true
  }

  /** Better to hear a part than nothing: the stream before, if it still is one, stays. */
  private failed({ error }: Stream, asked: ReadonlyMap<Ear, Interest>, before: Stream | undefined): void {
    const kept = before?.over === false ? before : undefined
    this.current = kept
    if (this.refusal) return
    const { doubting } = this.wishes
    const isSound = kept !== undefined && !kept.stale
    // Only an answer can be about what was asked.
    if (!error?.details.rpc || !this.wishes.refused(asked, error, isSound)) return this.missed(error, kept !== undefined)
    if (doubting && kept) kept.stale = true
    this.unsettled = true
  }

  /** A stream that carries what nobody wants any more makes way, after a while, for one that does not. */
  private shrink(): void {
    const trim = (): void => {
      this.trimming = true
      this.settle()
    }
    this.shrinking = setTimeout(trim, this.timing.trim).unref()
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
      .listen(writeFilter(filter.lists, filter.resources, filter.extra), this.wishes.extensions, stream.source, id => (stream.id = id))
      .then(
        () => this.lost(stream, undefined),
        error => this.lost(stream, toMcpError(error)),
      )
    return stream
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
    stream.error = error
    this.drop(stream)
    if (!wasCurrent) return
    if (error?.details.rpc?.code === rpcCodes.methodNotFound) {
      this.refusal = error
      return
    }
    // One that is still being opened is seen to there.
    if (this.opening === stream) return
    this.missed(error, false)
  }

  private missed(error: McpError | undefined, isKept: boolean): void {
    this.wishes.lost(isKept)
    this.options.log.debug({ error: error?.message, failures: this.failures }, 'change notifications lost')
    clearTimeout(this.retrying)
    this.retrying = this.later(this.failures++, () => this.settle())
  }

  private forgive(): void {
    this.forgiving = undefined
    this.wishes.again()
    this.settle()
  }

  /** `times`: how often it was in vain. */
  private later(times: number, what: () => void): NodeJS.Timeout {
    const pause = Math.min(this.timing.retry * 2 ** times, this.timing.maxRetry)
    return setTimeout(what, pause * (0.5 + Math.random() / 2)).unref()
  }

  private grant(): void {
    const unsaid = this.refusal ?? new McpError('BACKEND_ERROR', 'the server does not tell of changes to this resource')
    this.wishes.grant(this.current?.honoured, unsaid)
  }
}
