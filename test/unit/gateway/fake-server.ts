/** A server for member tests: connections that answer at once, hang, or die, as the test says. */
import { CancelSource } from '../../../src/gateway/cancellation.ts'
import type {
  Call, Change, ClientProfile, Connection, Description, Granted, Interest, JsonObject, Offer, Outcome, Watch, Watcher,
} from '../../../src/gateway/contract.ts'
import { McpError, rpcCodes } from '../../../src/gateway/errors.ts'
import { silent } from '../../../src/gateway/log.ts'
import { createMember } from '../../../src/gateway/member.ts'
import type { InstanceSpec, MemberOptions, MemberPolicy, StartOptions, Stored } from '../../../src/gateway/policy.ts'
import { SpawnSlots } from '../../../src/gateway/spawn-slots.ts'

export interface OpenCall {
  readonly call: Call
  readonly connection: FakeConnection
  answer(outcome?: Outcome): void
  fail(error: unknown): void
}

export const described = (capabilities: JsonObject = { tools: {} }): Description => ({
  info: { name: 'fake' }, capabilities, instructions: undefined, era: 'e', revision: 'r',
})

export class FakeConnection implements Connection {
  readonly name = 'fake'
  readonly pid: number
  readonly closed: Promise<Error | undefined>
  readonly watchers: { watcher: Watcher; interest: Interest; closed: boolean }[] = []
  readonly open = new Set<OpenCall>()
  readonly seen: Call[] = []
  readonly notified: { method: string; client: ClientProfile }[] = []
  pings = 0
  gone: Error | undefined
  wasClosed = false
  readonly toldOnce: boolean
  readonly start: StartOptions
  /** What it keeps for later calls: states and ids of tasks. */
  readonly kept = new Set<unknown>()
  private readonly server: FakeServer
  private end!: (reason: Error | undefined) => void

  constructor(server: FakeServer, pid: number, start: StartOptions) {
    this.server = server
    this.start = start
    this.toldOnce = server.toldOnce
    this.pid = pid
    this.closed = new Promise(resolve => (this.end = resolve))
  }

  handle = (call: Call): Promise<Outcome> => {
    if (this.gone) return Promise.reject(this.gone)
    this.seen.push(call)
    const list = this.server.list(call)
    if (list) return list
    return new Promise((resolve, reject) => {
      const settle = <T>(how: (value: T) => void) => (value: T) => {
        this.open.delete(open)
        unsubscribe()
        how(value)
      }
      const open: OpenCall = {
        call,
        connection: this,
        answer: settle((outcome: Outcome = { kind: 'complete', result: { by: this.pid } }) => resolve(outcome)) as OpenCall['answer'],
        fail: settle(reject),
      }
      this.open.add(open)
      let unsubscribe = () => {}
      if (!this.server.deaf) unsubscribe = call.cancellation.subscribe(reason => open.fail(new McpError('CANCELLED', reason ?? 'cancelled')))
      if (this.server.auto) open.answer()
    })
  }

  /** A task that a client has yet to ask for. */
  unfinished = false

  describe = async () => this.server.description

  holds(call?: Call): boolean {
    return call ? this.kept.has(call.requestState ?? call.params['taskId']) : this.unfinished
  }

  watch(watcher: Watcher): Watch {
    const entry = { watcher, interest: watcher.interest, closed: false }
    this.watchers.push(entry)
    const granted = (interest: Interest): Promise<Granted> =>
      Promise.resolve({ lists: interest.lists, resources: interest.resources, refused: new Map() })
    return {
      granted: granted(watcher.interest),
      update(interest) {
        entry.interest = interest
        return granted(interest)
      },
      close: () => (entry.closed = true),
    }
  }

  notify(method: string, _params: JsonObject | undefined, client: ClientProfile): void {
    this.notified.push({ method, client })
  }

  async ping(): Promise<void> {
    this.pings++
    if (this.server.pingError) throw this.server.pingError
  }

  tell(change: Change): void {
    for (const { watcher, closed } of this.watchers) if (!closed) watcher.change(change)
  }

  /** As a process does: calls fail first, then the connection says that it is gone. */
  die(error: Error = new McpError('BACKEND_DIED', 'exited with code 1')): void {
    if (this.gone) return
    this.gone = error
    for (const open of [...this.open]) open.fail(error)
    this.end(error)
  }

  async close(): Promise<void> {
    this.wasClosed = true
    if (this.gone) return
    this.gone = new McpError('SHUTTING_DOWN', 'the connection was closed')
    for (const open of [...this.open]) open.fail(this.gone)
    this.end(undefined)
  }
}

/** Everything behind one spec. */
export class FakeServer implements InstanceSpec {
  readonly transport: string = 'stdio'
  backup = false
  spawns = true
  toldOnce = false
  installing = false
  description = described()
  tools: JsonObject[] = [{ name: 'a' }]
  lists: Record<string, (call: Call) => Promise<Outcome> | Outcome> = {}
  /** Answers every call at once. */
  auto = true
  /** Does not hear cancellations. */
  deaf = false
  pingError: Error | undefined
  /** What a start does: an error to fail with, or a promise to wait for. */
  starts: (start: StartOptions) => unknown = () => undefined
  readonly connections: FakeConnection[] = []
  readonly clients: (ClientProfile | undefined)[] = []
  readonly budgets: number[] = []
  private static pids = 0

  installs = () => this.installing

  async connect(client: ClientProfile | undefined, start: StartOptions): Promise<Connection> {
    this.clients.push(client)
    this.budgets.push(start.limitMs)
    const verdict = await this.starts(start)
    if (verdict instanceof Error) throw verdict
    const connection = new FakeConnection(this, ++FakeServer.pids, start)
    this.connections.push(connection)
    return connection
  }

  get attempts(): number {
    return this.clients.length
  }

  get last(): FakeConnection {
    return this.connections.at(-1) as FakeConnection
  }

  get opened(): OpenCall[] {
    return this.connections.flatMap(({ open }) => [...open])
  }

  list(call: Call): Promise<Outcome> | undefined {
    const own = this.lists[call.method]
    if (own) return Promise.resolve(own(call))
    if (call.method === 'tools/list') return Promise.resolve({ kind: 'complete', result: { tools: this.tools } })
    if (call.method.endsWith('/list')) return Promise.reject(wireError(rpcCodes.methodNotFound))
    return undefined
  }
}

export const wireError = (code: number, message = 'no'): McpError =>
  new McpError('BACKEND_ERROR', message, { rpc: { code, message } })

export const client = (id = 'c1', principal = 'local'): ClientProfile => ({
  id, principal, info: undefined, capabilities: {}, revision: '2026-07-28', logLevel: undefined,
})

export const callOf = (method = 'tools/call', more: Partial<Call> = {}): Call => ({
  method, params: { name: 'a' }, client: client(), cancellation: new CancelSource(), ...more,
})

export const interested = (more: Partial<Interest> = {}): Interest => ({
  lists: [], resources: [], logLevel: undefined, roots: undefined, ...more,
})

export class FakeWatcher implements Watcher {
  readonly changes: Change[] = []
  readonly client: ClientProfile
  readonly interest: Interest
  constructor(interest: Partial<Interest> = {}, who = client()) {
    this.client = who
    this.interest = interested(interest)
  }
  change(change: Change): void {
    this.changes.push(change)
  }
}

export const policy: MemberPolicy = {
  start: 'lazy',
  share: 'auto',
  balance: 'least-loaded',
  restart: { backoff: 1000, maxBackoff: 60_000, resetAfter: 60_000, holdAfter: 5 },
  breaker: { failures: 5, openFor: 30_000 },
  timeouts: { start: 30_000, install: 120_000, call: 60_000, max: 600_000 },
  limits: { concurrency: 64, queue: 256 },
  idleTimeout: 0,
}

export interface Setting extends Partial<Omit<MemberOptions, 'policy' | 'specs'>> {
  policy?: { [K in keyof MemberPolicy]?: MemberPolicy[K] extends object ? Partial<MemberPolicy[K]> : MemberPolicy[K] }
  specs?: readonly InstanceSpec[]
}

/** A member over one fake server (or `specs`); random is 1 unless told, so that delays are the longest ones. */
export function setUp(setting: Setting = {}) {
  const server = new FakeServer()
  const { policy: changed = {}, specs = [server], ...rest } = setting
  const merged = Object.fromEntries(
    Object.entries(policy).map(([key, value]) => {
      const own = changed[key as keyof MemberPolicy]
      return [key, typeof value === 'object' ? { ...value, ...(own as object | undefined) } : (own ?? value)]
    }),
  ) as unknown as MemberPolicy
  const member = createMember({
    alias: 'files', policy: merged, specs, slots: new SpawnSlots(), maxAge: 0, random: () => 0.999_999, log: silent, ...rest,
  })
  return { member, server }
}

export function stored(offer: Offer | undefined, ageMs = 0): Stored & { saved: Offer[] } {
  const saved: Offer[] = []
  return { load: () => (offer ? { offer, ageMs } : undefined), save: each => void saved.push(each), saved }
}

export const offerOf = (more: Partial<Offer> = {}): Offer => ({
  description: described(), tools: [{ name: 'a' }], prompts: [], resources: [], templates: [], ...more,
})

/** The error a promise rejects with. */
export async function refusalOf(promise: Promise<unknown>): Promise<McpError> {
  return promise.then(
    () => {
      throw new Error('it did not reject')
    },
    (error: McpError) => error,
  )
}
