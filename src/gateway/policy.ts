/**
 * What a member is told about itself: figures, and how to reach its server. The keys are the config's keys, so that a
 * slice of config is a policy as it stands. All durations are milliseconds. No behaviour.
 */
import type { Cancellation } from './cancellation.ts'
import type { ClientProfile, Connection, JsonObject, Offer } from './contract.ts'
import type { Log } from './log.ts'
import type { SpawnSlots } from './spawn-slots.ts'

export interface MemberPolicy {
  readonly start: 'lazy' | 'eager'
  /** `auto`: one server per principal; `global`: one for all; `session`: one per client. */
  readonly share: 'auto' | 'global' | 'session'
  readonly balance: 'least-loaded' | 'round-robin'
  readonly restart: RestartPolicy
  readonly breaker: BreakerPolicy
  readonly timeouts: {
    /** From dialling to an opened connection. */
    readonly start: number
    /** The same where the server has to be downloaded first. */
    readonly install: number
    /** Silence of a call that was handed over; progress breaks it. 0 = no limit. */
    readonly call: number
    /** A call altogether, waiting included. 0 = no limit. */
    readonly max: number
  }
  /** Per instance. */
  readonly limits: { readonly concurrency: number; readonly queue: number }
  /** Without calls and resource subscriptions for this long, a lazy server is stopped. 0 = never. */
  readonly idleTimeout: number
}

export interface RestartPolicy {
  /** Before the first restart; doubles with each, up to `maxBackoff`. 0 = at once. */
  readonly backoff: number
  readonly maxBackoff: number
  /** Healthy for this long, and the doubling starts anew. */
  readonly resetAfter: number
  /** Crashes within a minute that make us hold the server back. 0 = never. */
  readonly holdAfter: number
}

export interface BreakerPolicy {
  /** Consecutive transport failures and timeouts that open it. 0 = off. */
  readonly failures: number
  readonly openFor: number
}

/** What a client can be asked. Made by those who know the asks; in the middle two of them are only equal or not. */
export interface Abilities {
  /** Equal keys, equal abilities. Never empty, without line breaks. */
  readonly key: string
  /** As it is declared to a server. */
  readonly declared: JsonObject
}

/** Whom a connection is for. */
export interface Audience {
  /** The one client; undefined = many. */
  readonly client?: ClientProfile | undefined
  /** What all of them can be asked; undefined = that differs, and the server is to believe the most. */
  readonly abilities?: Abilities | undefined
  /** To be called when the server has asked what the client of a call cannot do, and was led to believe otherwise. */
  readonly askedBeyond?: (() => void) | undefined
}

export interface StartOptions extends Pick<Audience, 'abilities' | 'askedBeyond'> {
  /** Budget of this start. We give up a little later, in case the other side has more to say. */
  readonly limitMs: number
  /** Fires when the connection is no longer wanted; what arrives later is closed. */
  readonly cancellation: Cancellation
  /** To be told, where the start fails, of what is still ending: nothing is started beside it. */
  readonly leaves?: ((gone: Promise<unknown>) => void) | undefined
}

/** One way to reach the server: a command or a URL. */
export interface InstanceSpec {
  /** For status: `stdio`, `http`, `sse`. */
  readonly transport: string
  /** Used only while no instance without this mark can be. */
  readonly backup: boolean
  /** A start makes a process: it takes a spawn slot, and a crash counts towards being held back. */
  readonly spawns: boolean
  /** Whether a start now would download the server first. Asked before each start; must be quick. */
  readonly installs?: (() => boolean) | undefined
  /** Opens a connection, for one client or (undefined) for many. Rejects with an McpError. */
  connect(client: ClientProfile | undefined, start: StartOptions): Promise<Connection>
}

/** Where an offer outlives the process. Neither method throws. */
export interface Stored {
  /** `ageMs`: since a live server last confirmed it. */
  load(): { readonly offer: Offer; readonly ageMs: number } | undefined
  /** Called whenever a live server has confirmed its whole offer, changed or not. */
  save(offer: Offer): void
  /**
   * Whether this backend's clients are told apart by what they can be asked; undefined: not that we know.
   * Kept with the next `save`, filled in by `load`.
   */
  apart?: boolean | undefined
}

export interface MemberOptions {
  readonly alias: string
  readonly policy: MemberPolicy
  /** In config order; at least one. */
  readonly specs: readonly InstanceSpec[]
  /** Shared by all members of the process. */
  readonly slots: SpawnSlots
  readonly stored?: Stored | undefined
  /** A stored offer older than this is confirmed in the background. 0 = never. */
  readonly maxAge: number
  /** In whose name lists are fetched. */
  readonly self?: ClientProfile | undefined
  /** What a client can be asked, where a server of its own kind should be told of it; must be quick. */
  readonly abilities?: ((client: ClientProfile) => Abilities | undefined) | undefined
  /** Whether a call may be made twice; lists and reads always may. `name` is `params.name`. */
  readonly idempotent?: ((method: string, name: string | undefined) => boolean) | undefined
  /** Uniform in [0, 1); for tests. */
  readonly random?: (() => number) | undefined
  /** Its lines carry the alias already. */
  readonly log: Log
}
