/**
 * Everybody who listens to one legacy server: joins their interests into subscriptions, one log level and one set of
 * roots, and hands its changes to those they concern.
 */
import type { Change, ClientProfile, Granted, Interest, JsonObject, LogLevel, Watch, Watcher } from '../../gateway/contract.ts'
import { McpError } from '../../gateway/errors.ts'
import { isObject } from '../asks.ts'
import type { Desk } from './open-call.ts'
import { Subscriptions } from './subscriptions.ts'
import { isMoreVerbose, lists, passes } from './wire.ts'

export class Interests {
  private readonly desk: Desk
  private readonly capabilities: JsonObject
  /** Told when the joined roots have changed; absent when the server is told fixed ones. */
  private readonly rootsChanged: (() => void) | undefined
  private readonly ears = new Set<Ear>()
  private readonly subscriptions: Subscriptions
  private level: LogLevel | undefined
  private toldRoots = '[]'

  constructor(desk: Desk, capabilities: JsonObject, rootsChanged: (() => void) | undefined) {
    this.desk = desk
    this.capabilities = capabilities
    this.rootsChanged = rootsChanged
    this.subscriptions = new Subscriptions(desk)
  }

  /** Each client by itself. */
  get watchers(): Iterable<Watcher> {
    return this.clients()
  }

  watch(watcher: Watcher): Watch {
    const ear = new Ear(this, watcher)
    this.ears.add(ear)
    return ear
  }

  /** The roots of all listeners that `of` allows, each once. */
  roots(of?: (client: ClientProfile) => boolean): JsonObject[] {
    const joined = new Map<unknown, JsonObject>()
    for (const { client, interest } of this.watchers) {
      if (of && !of(client)) continue
      for (const root of interest.roots ?? []) if (!joined.has(root['uri'])) joined.set(root['uri'], root)
    }
    return [...joined.values()]
  }

  tell(change: Change, may?: (client: ClientProfile) => boolean): void {
    for (const ear of this.ears) {
      if (!ear.wants(change)) continue
      if (ear.each) ear.change(change, may)
      else if (!may || may(ear.client)) ear.change(change)
    }
  }

  /** A call wants to hear log messages as of `level`: the server is asked for them before it gets the call. */
  raise(level: LogLevel): void {
    if (this.level === undefined || isMoreVerbose(level, this.level)) this.setLevel(level)
  }

  async apply(ear: Ear, interest: Interest): Promise<Granted> {
    const refused = new Map<string, Error>()
    if (!this.ears.has(ear)) return { lists: [], resources: [], refused }
    this.settleLevel()
    this.settleRoots()
    for (const uri of ear.held) {
      if (interest.resources.includes(uri)) continue
      ear.held.delete(uri)
      this.subscriptions.release(uri, ear)
    }
    await Promise.all(interest.resources.map(uri => this.hold(uri, ear, refused)))
    const lists = interest.lists.filter(list => declares(this.capabilities[list], 'listChanged'))
    return { lists, resources: interest.resources.filter(uri => !refused.has(uri)), refused }
  }

  /** The server has forgotten what was wanted of it. */
  renew(): void {
    if (this.level !== undefined) this.setLevel(this.level)
    this.subscriptions.renew()
    this.announce()
  }

  /** Nobody knows what the server had to say meanwhile: everything may have changed. */
  announce(): void {
    for (const list of lists) this.tell({ kind: 'list', list })
    for (const ear of this.ears) for (const uri of ear.held) ear.change({ kind: 'resource', params: { uri } })
  }

  leave(ear: Ear): void {
    if (!this.ears.delete(ear)) return
    for (const uri of ear.held) this.subscriptions.release(uri, ear)
    ear.held.clear()
    this.settleLevel()
    this.settleRoots()
  }

  private *clients(): Iterable<Watcher> {
    for (const ear of this.ears) {
      if (ear.each) yield* ear.each
      else yield ear
    }
  }

  private async hold(uri: string, ear: Ear, refused: Map<string, Error>): Promise<void> {
    if (!declares(this.capabilities['resources'], 'subscribe'))
      return void refused.set(uri, new McpError('METHOD_NOT_FOUND', 'the server takes no resource subscriptions'))
    ear.held.add(uri)
    const refusal = await this.subscriptions.hold(uri, ear)
    if (!refusal) return
    ear.held.delete(uri)
    refused.set(uri, refusal)
  }

  /** The most verbose level anybody wants now. Nobody's wish leaves the server as it is. */
  private settleLevel(): void {
    let wanted: LogLevel | undefined
    const want = (level: LogLevel | undefined): void => {
      if (level !== undefined && (wanted === undefined || isMoreVerbose(level, wanted))) wanted = level
    }
    for (const ear of this.ears) want(ear.interest.logLevel)
    for (const open of this.desk.calls.values()) want(open.call.client.logLevel)
    if (wanted !== undefined && wanted !== this.level) this.setLevel(wanted)
  }

  private setLevel(level: LogLevel): void {
    this.level = level
    if (!isObject(this.capabilities['logging'])) return
    // A server that does not take a level sends what it likes, and listeners are filtered anyway.
    this.desk.peer.request('logging/setLevel', { level }, { headers: this.desk.headers, ahead: true }).catch(() => {})
  }

  private settleRoots(): void {
    if (!this.rootsChanged) return
    const roots = JSON.stringify(this.roots())
    if (roots === this.toldRoots) return
    this.toldRoots = roots
    this.rootsChanged()
  }
}

const declares = (capability: unknown, part: string): boolean => isObject(capability) && capability[part] === true

/** One listener, or many as one. */
class Ear implements Watch, Watcher {
  readonly ask: Watcher['ask']
  readonly each: Watcher['each']
  readonly granted: Promise<Granted>
  /** URIs it holds a subscription of. */
  readonly held = new Set<string>()
  interest: Interest
  private readonly interests: Interests
  private readonly watcher: Watcher

  constructor(interests: Interests, watcher: Watcher) {
    this.interests = interests
    this.watcher = watcher
    this.interest = watcher.interest
    this.each = watcher.each
    this.ask = watcher.ask && ((ask, cancellation) => watcher.ask!(ask, cancellation))
    // Deferred: the ear must be among the others before the interests are joined.
    this.granted = Promise.resolve().then(() => interests.apply(this, this.interest))
  }

  get client(): ClientProfile {
    return this.watcher.client
  }

  update(interest: Interest): Promise<Granted> {
    this.interest = interest
    return this.interests.apply(this, interest)
  }

  close(): void {
    this.interests.leave(this)
  }

  wants(change: Change): boolean {
    switch (change.kind) {
      case 'list':
        return this.interest.lists.includes(change.list)
      case 'resource':
        return this.interest.resources.some(uri => isPartOf(change.params['uri'], uri))
      case 'log':
        return passes(this.interest.logLevel, change.params)
      case 'other':
        return true
    }
  }

  change(change: Change, may?: (client: ClientProfile) => boolean): void {
    this.watcher.change(change, may)
  }
}

/** An update may name a part of what was subscribed to (2025-11-25 schema, ResourceUpdatedNotificationParams). */
function isPartOf(uri: unknown, whole: string): boolean {
  if (typeof uri !== 'string' || !uri.startsWith(whole)) return false
  return uri.length === whole.length || whole.endsWith('/') || '/?#'.includes(uri.charAt(whole.length))
}
