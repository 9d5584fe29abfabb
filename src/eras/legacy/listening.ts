/**
 * What one legacy client hears of and tells outside its calls: its watch on the gateway, fed by `logging/setLevel`,
 * `resources/subscribe` and its roots, and turned into notifications. One per `initialize`.
 */
import { CancelSource, type Cancellation } from '../../gateway/cancellation.ts'
import type {
  Ask, Change, ClientProfile, Granted, Interest, JsonObject, LogLevel, Watch, Watcher,
} from '../../gateway/contract.ts'
import { isObject, roots } from '../asks.ts'
import { askClient, type Asker } from './ask-loop.ts'
import { lists, passes } from './wire.ts'

/** What a client hears of that has said nothing of what it wants. */
const nothingOfItsOwn: Interest = { lists, resources: [], logLevel: undefined, roots: undefined }

export class Listening implements Watcher {
  client: ClientProfile
  interest: Interest
  private readonly asker: Asker
  private uris: Set<string> | undefined
  private watch: Watch | undefined
  private rootsFetch: CancelSource | undefined
  private ended = false

  constructor(asker: Asker, client: ClientProfile) {
    this.asker = asker
    this.client = client
    this.interest = nothingOfItsOwn
  }

  /** Starts listening, if it has not; a client that skips `notifications/initialized` is still served. */
  start(): Watch {
    return (this.watch ??= this.asker.options.gateway.watch(this))
  }

  /** Fetches the client's roots, if it has any to tell. The latest fetch wins. */
  async fetchRoots(): Promise<void> {
    if (!isObject(this.client.capabilities['roots'])) return
    this.rootsFetch?.cancel('the roots have changed since')
    const turn = (this.rootsFetch = new CancelSource())
    try {
      const { result } = await this.asker.peer.request(roots, undefined, { cancellation: turn })
      if (turn !== this.rootsFetch || !Array.isArray(result['roots'])) return
      await this.update({ roots: result['roots'].filter(isObject) })
    } catch (error) {
      this.asker.options.log.debug({ reason: (error as Error).message }, 'the client did not tell its roots')
    } finally {
      if (turn === this.rootsFetch) this.rootsFetch = undefined
    }
  }

  async setLevel(logLevel: LogLevel): Promise<void> {
    this.client = { ...this.client, logLevel }
    await this.update({ logLevel })
  }

  /** Rejects with the backend's reason when the URI is refused. */
  async subscribe(uri: string): Promise<void> {
    const uris = (this.uris ??= new Set())
    uris.add(uri)
    const granted = await this.update({ resources: [...uris] })
    const refusal = granted?.refused.get(uri)
    if (!refusal) return
    uris.delete(uri)
    // As long as it is wanted its server is kept running, and asked again after each restart.
    void this.update({ resources: [...uris] })
    throw refusal
  }

  async unsubscribe(uri: string): Promise<void> {
    if (this.uris?.delete(uri)) await this.update({ resources: [...this.uris] })
  }

  change(change: Change): void {
    const { peer } = this.asker
    switch (change.kind) {
      case 'list':
        return peer.notify(`notifications/${change.list}/list_changed`, undefined)
      case 'resource':
        return peer.notify('notifications/resources/updated', change.params)
      case 'log':
        if (passes(this.client.logLevel, change.params)) peer.notify('notifications/message', change.params)
        return
      case 'other':
        return peer.notify(change.method, change.params)
    }
  }

  ask(ask: Ask, cancellation: Cancellation): Promise<JsonObject> {
    return askClient(this.asker, this.client.capabilities, ask, { cancellation })
  }

  close(): void {
    this.ended = true
    this.watch?.close()
  }

  private async update(part: Partial<Interest>): Promise<Granted | undefined> {
    if (this.ended) return undefined
    this.interest = { ...this.interest, ...part }
    return this.watch ? this.watch.update(this.interest) : this.start().granted
  }
}
