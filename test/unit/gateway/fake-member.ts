/** A member for gateway tests: it offers what the test says, records every call, and answers by a function. */
import type {
  BackendStatus, Call, Change, ClientProfile, Granted, Interest, JsonObject, Member, Offer, Outcome, Watch, Watcher,
} from '../../../src/gateway/contract.ts'
import { McpError } from '../../../src/gateway/errors.ts'
import { createGateway, type Gateway, type GatewayOptions } from '../../../src/gateway/gateway.ts'
import { silent } from '../../../src/gateway/log.ts'
import type { SurfaceMember } from '../../../src/gateway/surface.ts'
import { offer, options, type Wares } from './offers.ts'

export interface Heard {
  readonly watcher: Watcher
  readonly interests: Interest[]
  closed: boolean
}

export class FakeMember implements Member {
  readonly name: string
  offer: Offer | undefined
  readonly calls: Call[] = []
  readonly notified: string[] = []
  readonly heard: Heard[] = []
  answer: (call: Call) => Outcome | Promise<Outcome> = call => ({ kind: 'complete', result: { by: this.name, params: call.params } })
  /** What starting it brings; a promise is waited for. */
  brings: () => Promise<Offer | undefined> = () => Promise.resolve(this.offer)
  starts = 0
  inFlight = 0
  state: BackendStatus['state'] = 'healthy'
  lastFailure: BackendStatus['lastFailure'] = null
  closed = false
  refuses = new Map<string, Error>()
  private readonly listeners = new Set<() => void>()

  constructor(name: string, wares?: Wares) {
    this.name = name
    this.offer = wares && offer(wares)
  }

  readonly handle = async (call: Call): Promise<Outcome> => {
    if (this.closed) throw new McpError('SHUTTING_DOWN', `${this.name} is closed`)
    this.calls.push(call)
    this.inFlight++
    try {
      return await this.answer(call)
    } finally {
      this.inFlight--
    }
  }

  async offered(): Promise<Offer | undefined> {
    if (this.offer) return this.offer
    this.starts++
    const brought = await this.brings()
    if (brought) this.offers(brought)
    return this.offer
  }

  /** From now on it offers this. */
  offers(next: Offer | Wares): void {
    this.offer = 'description' in next ? next : offer(next)
    for (const listener of this.listeners) listener()
  }

  onOffer(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  get listened(): number {
    return this.listeners.size
  }

  async describe() {
    if (!this.offer) throw new McpError('BACKEND_UNAVAILABLE', 'down')
    return this.offer.description
  }

  watch(watcher: Watcher): Watch {
    const heard: Heard = { watcher, interests: [watcher.interest], closed: false }
    this.heard.push(heard)
    const granted = async ({ lists, resources, extra }: Interest): Promise<Granted> => ({
      lists,
      resources: resources.filter(uri => !this.refuses.has(uri)),
      refused: new Map([...this.refuses].filter(([uri]) => resources.includes(uri))),
      ...(extra ? { extra: { [this.name]: true } } : {}),
    })
    return {
      granted: granted(watcher.interest),
      update(interest) {
        heard.interests.push(interest)
        return granted(interest)
      },
      close: () => void (heard.closed = true),
    }
  }

  /** The resources it is asked to watch now, by all. */
  get watched(): readonly string[] {
    return this.heard.filter(({ closed }) => !closed).flatMap(({ interests }) => interests.at(-1)?.resources ?? [])
  }

  tell(change: Change): void {
    for (const { watcher, closed } of this.heard) if (!closed) watcher.change(change)
  }

  notify(method: string, _params: JsonObject | undefined, _client: ClientProfile): void {
    this.notified.push(method)
  }

  status(): BackendStatus {
    return {
      alias: this.name, state: this.state, era: null, revision: null, transport: 'stdio', pid: null,
      since: '', lastFailure: this.lastFailure, tools: 0, prompts: 0, resources: 0, inFlight: this.inFlight, restarts: 0,
    }
  }

  async close(): Promise<void> {
    this.closed = true
  }
}

export const seated = (members: readonly Member[], rules: SurfaceMember['rules'] = {}): SurfaceMember[] =>
  members.map(member => ({ alias: member.name, member, rules }))

export const gatewayOf = (members: readonly Member[], more: Partial<GatewayOptions> = {}): Gateway =>
  createGateway({
    self: { name: 'us', version: '1' }, members: seated(members), names: options, startWaitMs: 1000, describeWaitMs: 100, log: silent, ...more,
  })

export const seating = (members: readonly Member[]) => ({ members: seated(members), names: options, startWaitMs: 1000 })
