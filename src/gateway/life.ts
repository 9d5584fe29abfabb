/**
 * The life of one connection and of those that follow it: started once for all who want it, restarted with backoff, held
 * when it keeps crashing, pinged when quiet, stopped when idle. Knows no calls, only whether there is traffic.
 */
import { Backoff } from './backoff.ts'
import { CancelSource } from './cancellation.ts'
import type { BackendState, Connection, Failure } from './contract.ts'
import { McpError } from './errors.ts'
import type { Log } from './log.ts'
import type { Audience, InstanceSpec, MemberPolicy } from './policy.ts'
import { closing, died, named, unavailable } from './refusals.ts'
import { Pulse, type Traffic } from './pulse.ts'
import type { SpawnSlots, SpawnTicket } from './spawn-slots.ts'
import { isFinal, stageOf, startWithin } from './starting.ts'

export interface LifeOptions {
  readonly alias: string
  readonly spec: InstanceSpec
  readonly policy: MemberPolicy
  readonly audience: Audience
  readonly slots: SpawnSlots
  readonly random: () => number
  readonly log: Log
  readonly traffic: Traffic
  /** Milliseconds of quiet after which it may be stopped; 0 = never. */
  readonly idleAfter: () => number
  /** It must not be stopped now, however quiet. */
  readonly needed: () => boolean
  /** Somebody would miss it: when it falls it is started again without being asked for. */
  readonly wanted: () => boolean
  /** Settles when nothing is left that must not run beside it. */
  readonly room: () => Promise<unknown> | undefined
  readonly up: (connection: Connection) => void
  /** It is gone or did not come, and why; undefined = we stopped it. `stage`: what we were doing. */
  readonly down: (error: McpError | undefined, stage: string) => void
}

export type Ailment = 'health' | 'breaker' | 'lists' | 'sign-in'

/** A call may wait this long for a restart that is due (docs: one second). */
const patienceMs = 1000
const missesAllowed = 1
const closeLimitMs = 10_000
const failureTextLimit = 2000
/** Somebody may have signed in meanwhile; asking more often than this does not help. */
const signInRetryMs = 5000

export class Life {
  connection: Connection | undefined
  state: BackendState = 'idle'
  /** Milliseconds since the epoch; as text only for who asks, since V8 loads the time zone for that (1.8 MB). */
  since = Date.now()
  lastFailure: Failure | null = null
  restarts = 0
  private readonly options: LifeOptions
  private readonly backoff: Backoff
  private readonly ailments = new Set<Ailment>()
  private attempt: CancelSource | undefined
  private ticket: SpawnTicket | undefined
  /** A call waits for this start. */
  private urgent = false
  /** The last start came to nothing. */
  private failed = false
  private startTimer: NodeJS.Timeout | undefined
  private pulse: Pulse | undefined
  /** Settles when nothing of an earlier connection is left. */
  private leaving: Promise<void> | undefined
  /** Starting again will not help until somebody does something; `until` when we look again anyway. */
  private final: { readonly error: McpError; readonly until: number } | undefined
  private fallen = false
  private closed = false

  constructor(options: LifeOptions) {
    this.options = options
    this.backoff = new Backoff(options.policy.restart, options.random)
  }

  /** Neither there nor on its way. */
  get resting(): boolean {
    return !this.connection && !this.attempt
  }

  /** Why no call can be taken now or within the next second; undefined = it is there or can be. Changes nothing. */
  refusal(now: number): McpError | undefined {
    const { alias } = this.options
    if (this.closed) return closing(alias)
    if (this.connection || this.attempt) return undefined
    if (this.final) return now < this.final.until ? this.final.error : undefined
    const wait = this.backoff.dueAt - now
    if (wait <= (this.backoff.held ? 0 : patienceMs)) return undefined
    const why = this.lastFailure ? `: ${this.lastFailure.message}` : ''
    if (!this.backoff.held) return unavailable(alias, `is not running and will be started again${why}`, wait)
    return unavailable(alias, `is held back because it keeps crashing${why}`, wait, 'mend its command or configuration; it is tried again after a pause')
  }

  /** Sees to it that it is there, now or within a second; returns why not. `hurry`: a call is waiting. */
  demand(hurry: boolean): McpError | undefined {
    if (this.connection) return undefined
    const now = performance.now()
    const refusal = this.refusal(now)
    if (refusal) return refusal
    if (!this.attempt) {
      const wait = this.backoff.dueAt - now
      if (wait > 0) this.startIn(wait)
      else this.start()
    }
    if (hurry) {
      this.urgent = true
      this.ticket?.hurry()
    }
    return undefined
  }

  /** Stops it in good order; the next demand starts it again. */
  rest(): void {
    if (!this.connection) return
    this.part()
    this.backoff.forget()
    this.shift('idle')
    this.options.down(undefined, 'rest')
  }

  ail(ailment: Ailment, error?: McpError, stage = 'call'): void {
    if (error) this.note(stage, error)
    this.ailments.add(ailment)
    this.judge()
  }

  well(ailment: Ailment): void {
    if (this.ailments.delete(ailment)) this.judge()
  }

  /** Looks again at whether it may be stopped; to be called when that may have changed. */
  review(): void {
    this.pulse?.review()
  }

  async close(): Promise<void> {
    if (!this.closed) {
      this.closed = true
      clearTimeout(this.startTimer)
      this.attempt?.cancel('the backend is being closed')
      this.ticket?.release()
      if (this.connection) this.part()
      this.shift('stopped')
    }
    // While one end is waited for, a start may have come to another.
    for (let left: Promise<void> | undefined; left !== this.leaving; ) await (left = this.leaving)
  }

  private startIn(ms: number): void {
    clearTimeout(this.startTimer)
    this.startTimer = setTimeout(() => {
      if (!this.connection && !this.attempt && !this.closed) this.start()
    }, Math.ceil(ms))
  }

  private start(): void {
    clearTimeout(this.startTimer)
    const { spec } = this.options
    const attempt = (this.attempt = new CancelSource())
    this.final = undefined
    if (this.fallen) this.restarts++
    this.fallen = false
    this.shift(spec.installs?.() ? 'installing' : 'starting')
    void this.bringUp(attempt)
  }

  private async bringUp(attempt: CancelSource): Promise<void> {
    const { alias, spec, policy, audience, slots } = this.options
    let ticket: SpawnTicket | undefined
    const limitMs = this.state === 'installing' ? policy.timeouts.install : policy.timeouts.start
    try {
      // Two of one server at a time may fight over a port or a lock file.
      await this.leaving
      await this.options.room()
      if (this.closed) return
      // Not before: who waits for the end of another process takes no place from those who could start.
      ticket = this.ticket = spec.spawns ? slots.take(this.failed) : undefined
      if (this.urgent) ticket?.hurry()
      await ticket?.ready
      if (this.closed) return
      const { connection, over } = startWithin(spec, audience, limitMs, attempt, alias)
      this.leaving = over
      const arrived = await connection
      // Closed in the very moment in which it came.
      if (this.closed) return void (this.leaving = arrived.close().catch(() => {}))
      this.arrived(arrived)
      ticket?.release(true)
    } catch (thrown) {
      if (this.closed) return
      this.failed = true
      this.urgent = false
      this.attempt = undefined
      const error = named(alias, thrown)
      this.fell(stageOf(error), error)
    } finally {
      ticket?.release()
    }
  }

  private arrived(connection: Connection): void {
    this.attempt = undefined
    this.connection = connection
    this.urgent = this.failed = false
    this.backoff.started(performance.now())
    for (const ailment of ['health', 'lists', 'sign-in'] as const) this.ailments.delete(ailment)
    this.judge()
    void connection.closed.then(reason => {
      if (this.connection !== connection) return
      // Closing what is closed ends whatever its processes left behind.
      this.part()
      this.fell('run', named(this.options.alias, reason ?? died(this.options.alias)))
    })
    this.options.log.info({ state: this.state }, `${this.options.alias} is up`)
    this.pulse = this.listen(connection)
    this.options.up(connection)
  }

  private listen(connection: Connection): Pulse {
    const { traffic, idleAfter, needed } = this.options
    return new Pulse(connection, {
      traffic,
      idleAfter,
      needed,
      idle: () => this.rest(),
      answered: () => this.well('health'),
      missed: (thrown, misses) => {
        const error = named(this.options.alias, thrown)
        if (misses <= missesAllowed) return this.ail('health', error, 'health')
        this.part()
        this.fell('health', error)
      },
    })
  }

  private fell(stage: string, error: McpError): void {
    const { spec, log } = this.options
    const now = performance.now()
    const known = this.lastFailure?.message === error.message
    this.note(stage, error)
    const final = isFinal(error)
    if (final) {
      const signIn = error.code === 'BACKEND_NEEDS_AUTH'
      this.final = { error, until: signIn ? now + signInRetryMs : Infinity }
      this.shift(signIn ? 'needs-auth' : 'held')
    } else {
      this.fallen = true
      this.backoff.fell(now, spec.spawns)
      this.shift(this.backoff.held ? 'held' : 'stopped')
    }
    const wait = final ? undefined : Math.max(0, Math.ceil(this.backoff.dueAt - now))
    // A server that is away for a day must not fill the log with the same line.
    const say = known && this.state !== 'held' ? 'debug' : 'warn'
    log[say]({ state: this.state, stage, code: error.code, retryAfterMs: wait, lastWords: error.details.lastWords, hint: this.lastFailure?.hint }, error.message)
    this.options.down(error, stage)
    if (wait !== undefined && !this.attempt && !this.closed && this.options.wanted()) this.startIn(wait)
  }

  private note(stage: string, error: McpError): void {
    const message = error.message.slice(0, failureTextLimit)
    const hint = error.details.hint?.slice(0, failureTextLimit)
    this.lastFailure = { stage, message, ...(hint && { hint }), at: new Date().toISOString() }
  }

  /** Lets the connection go. A close that never ends must not keep the next start waiting for ever. */
  private part(): void {
    const { connection } = this
    this.connection = undefined
    this.pulse?.stop()
    this.pulse = undefined
    this.leaving = new Promise(resolve => {
      const limit = setTimeout(resolve, closeLimitMs)
      const done = () => {
        clearTimeout(limit)
        resolve()
      }
      connection?.close().then(done, done)
    })
  }

  private judge(): void {
    if (!this.connection) return
    if (this.ailments.has('sign-in')) this.shift('needs-auth')
    else this.shift(this.ailments.size > 0 ? 'degraded' : 'healthy')
  }

  private shift(state: BackendState): void {
    if (this.state === state) return
    this.state = state
    this.since = Date.now()
  }
}
