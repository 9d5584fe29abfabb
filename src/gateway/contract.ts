/**
 * The contract of the middle: a Call goes in, an Outcome comes out. Nothing here knows a protocol era, a byte or a disk.
 * A client's request is a Call; whoever can answer is a Backend; the gateway is a Backend made of Backends.
 */
import type { Cancellation } from './cancellation.ts'
import type { RawJson } from './raw.ts'

export type JsonObject = { [key: string]: unknown }

/** RFC 5424 severities, as MCP names them, least severe first. */
export const logLevels = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'] as const
export type LogLevel = (typeof logLevels)[number]

/** Who is calling, and what it can do. One object per connection, session or (where there is neither) per request. */
export interface ClientProfile {
  /** Equal ids mean the same client. Used to keep per-client backends and asks apart; never an identity proof. */
  readonly id: string
  /**
   * Present where `id` lasts for one request only: whose a backend of this client's own is instead. Requests with equal
   * homes may come from different clients.
   */
  readonly home?: string | undefined
  /** Behind the client, after authentication. `local` over stdio. */
  readonly principal: string
  /** The `Implementation` object as the client sent it: unknown fields included. */
  readonly info: JsonObject | undefined
  /** The `ClientCapabilities` object as the client sent it. */
  readonly capabilities: JsonObject
  /** Protocol revision this client speaks, e.g. `2025-11-25`. */
  readonly revision: string
  /** Least severe log message the client wants; undefined = it did not say. */
  readonly logLevel: LogLevel | undefined
}

/** One request from a client. */
export interface Call {
  readonly method: string
  /**
   * The client's params without the envelope: reserved `_meta` keys, the progress token, `inputResponses` and
   * `requestState` are lifted off; every other key, `_meta` keys included, is as the client sent it. Never mutated.
   */
  readonly params: JsonObject
  readonly client: ClientProfile
  readonly cancellation: Cancellation
  /** Present when the client asked for progress. Takes the notification's params without the token. */
  readonly progress?: ((params: JsonObject) => void) | undefined
  /** Takes a log message (params of `notifications/message`) that belongs to this very call. */
  readonly log?: ((params: JsonObject) => void) | undefined
  /** The answers to an earlier `inputRequired`, by its keys. */
  readonly inputResponses?: JsonObject | undefined
  /** The state of that earlier outcome, exactly as the backend's handler gave it. */
  readonly requestState?: string | undefined
  /** Name of the backend whose outcome this call continues; the gateway refuses the call if it routes elsewhere. */
  readonly continues?: string | undefined
  /** Unknown top-level keys of the JSON-RPC request. */
  readonly extra?: JsonObject | undefined
}

/** A request a server makes of a client, such as `elicitation/create`. */
export interface Ask {
  readonly method: string
  readonly params: JsonObject | undefined
  /** Name of the backend that asks, on an ask put to a watcher; in an outcome `from` says it. */
  readonly from?: string | undefined
  /** Present where the server itself waits for this ask in this process. Never leaves the process. */
  readonly live?: LiveAsk | undefined
}

/** A line to the waiting server, for what the answers of a later call cannot say. */
export interface LiveAsk {
  /** Fires when the server has taken the ask back or no longer needs it. */
  readonly withdrawn: Cancellation
  /** Answers the server with the client's error; the key is then left out of `inputResponses`. */
  refuse(error: unknown): void
  /** Present when the server wants to hear of progress. Takes the notification's params without the token. */
  readonly progress?: ((params: JsonObject) => void) | undefined
}

/** How long a result may be reused, and by whom (spec 2026-07-28, server/utilities/caching). */
export interface Freshness {
  /** Milliseconds, >= 0. */
  readonly ttlMs: number
  readonly scope: 'public' | 'private'
}

export interface Complete {
  readonly kind: 'complete'
  /** The result as the backend sent it, without result kind and freshness. */
  readonly result: JsonObject
  /** The same result in bytes, where nobody has had to parse it so far: reading `result` does. A changed copy has none. */
  readonly raw?: RawJson | undefined
  /** A result kind other than the ordinary one that an extension defines, such as `task`. */
  readonly variant?: string | undefined
  /** Name of the backend, where it is about a task, which may ask for something; filled in by the gateway. */
  readonly from?: string | undefined
  readonly freshness?: Freshness | undefined
  /** Unknown top-level keys of the JSON-RPC response. */
  readonly extra?: JsonObject | undefined
}

/** The backend needs something of the client first; the caller calls again with `inputResponses` and `requestState`. */
export interface InputRequired {
  readonly kind: 'inputRequired'
  readonly requests?: Readonly<Record<string, Ask>> | undefined
  readonly requestState?: string | undefined
  /** Every further field of the backend's result. */
  readonly rest?: JsonObject | undefined
  /** Name of the backend that asks; filled in by the gateway. */
  readonly from?: string | undefined
}

export type Outcome = Complete | InputRequired

/** Answers a call. Every failure is thrown as an McpError. */
export type Handler = (call: Call) => Promise<Outcome>
export type Middleware = (next: Handler) => Handler

/** What a server says of itself. */
export interface Description {
  /** `Implementation` of the server. */
  readonly info: JsonObject | undefined
  /** `ServerCapabilities` as sent, unknown keys included. */
  readonly capabilities: JsonObject
  readonly instructions: string | undefined
  /** Which protocol and revision it is spoken to with; for people, never for decisions in the middle. */
  readonly era: string | undefined
  readonly revision: string | undefined
}

export type ListKind = 'tools' | 'prompts' | 'resources'

/** What one client wants to hear of and offers outside any call. Immutable; `Watch.update` replaces it whole. */
export interface Interest {
  /** Changes of these lists. */
  readonly lists: readonly ListKind[]
  /** Updates of these resources. */
  readonly resources: readonly string[]
  /** The least severe log message wanted; undefined = leave it to the server. */
  readonly logLevel: LogLevel | undefined
  /** Roots the client told us, for servers that ask when no call is open; undefined = it has none to tell. */
  readonly roots: readonly JsonObject[] | undefined
  /** Filter fields we do not know, passed on to backends that may. */
  readonly extra?: JsonObject | undefined
}

export type Change =
  | { readonly kind: 'list'; readonly list: ListKind }
  /** `params` of `notifications/resources/updated`: uri and whatever else came with it. */
  | { readonly kind: 'resource'; readonly params: JsonObject }
  /** `params` of `notifications/message`. */
  | { readonly kind: 'log'; readonly params: JsonObject }
  /** Any other notification, custom ones of extensions included. `from`: name of the backend; filled in by the gateway. */
  | { readonly kind: 'other'; readonly method: string; readonly params: JsonObject | undefined; readonly from?: string }

/** The ear of one client, or one for many that want the same, can do the same and have the same principal. */
export interface Watcher {
  /** Of many: one of them, or one that was. */
  readonly client: ClientProfile
  readonly interest: Interest
  /** Must not throw and must not block. `may`: those of many whom it concerns. */
  change(change: Change, may?: (client: ClientProfile) => boolean): void
  /** Puts a server's request to the client outside any call. Absent when this client cannot be asked that way. */
  readonly ask?: ((ask: Ask, cancellation: Cancellation) => Promise<JsonObject>) | undefined
  /** Present where it is of many: each of them as of now, with its roots and as one who can be asked. */
  readonly each?: Iterable<Watcher> | undefined
}

/** What of an interest is honoured. */
export interface Granted {
  readonly lists: readonly ListKind[]
  readonly resources: readonly string[]
  /** URIs that were refused, with the backend's reason. */
  readonly refused: ReadonlyMap<string, Error>
  readonly extra?: JsonObject | undefined
}

export interface Watch {
  /** Settles when the watched backends have taken (or refused) the interest. Never rejects. */
  readonly granted: Promise<Granted>
  /** Replaces the interest. Settles like `granted`. */
  update(interest: Interest): Promise<Granted>
  close(): void
}

/** Something that answers calls: one server, or the gateway made of many. */
export interface Backend {
  readonly name: string
  readonly handle: Handler
  /** Waits for a first connection if there is none yet. Rejects with the McpError that prevents it. */
  describe(): Promise<Description>
  watch(watcher: Watcher): Watch
  /** A notification from a client that is not about a call of its own: custom ones of extensions. */
  notify(method: string, params: JsonObject | undefined, client: ClientProfile): void
  /** Ends it: calls in flight fail, processes stop. Idempotent. */
  close(): Promise<void>
}

/** A Backend over one live channel. It dies with the channel; whoever holds it dials again. */
export interface Connection extends Backend {
  /** Process id of the server, where there is one. */
  readonly pid?: number | undefined
  /** Settles when the channel is gone: with the reason, or undefined after our own close(). Never rejects. */
  readonly closed: Promise<Error | undefined>
  /** Its server hears once, when the connection is opened, what clients can be asked. */
  readonly toldOnce?: boolean | undefined
  /** Whether what this call continues (a state, a task) is kept in this very connection; without one, whether any task is unfinished. Absent: none keeps anything. */
  holds?(call?: Call): boolean
  /** A cheap sign of life. Rejects when the server does not answer in `timeoutMs`. */
  ping(timeoutMs: number): Promise<void>
}

/** Everything a server offers: all pages of its lists, each item as it came, in the server's order. */
export interface Offer {
  readonly description: Description
  readonly tools: readonly JsonObject[]
  readonly prompts: readonly JsonObject[]
  readonly resources: readonly JsonObject[]
  readonly templates: readonly JsonObject[]
  /** The strictest of the lists' freshness; undefined where the server gave none. */
  readonly freshness?: Freshness | undefined
}

export type BackendState =
  | 'starting' | 'installing' | 'healthy' | 'degraded' | 'needs-auth' | 'held' | 'stopped' | 'disabled' | 'idle'

export interface Failure {
  /** What we were doing: `resolve`, `start`, `handshake`, `list`, `call`, `run`, `health`. */
  readonly stage: string
  readonly message: string
  /** What to do about it, for the owner of the config: it may name folders of this machine. */
  readonly hint?: string | undefined
  /** ISO 8601. */
  readonly at: string
}

/** One line of `status`. The names are the outputs' names (docs: commands). */
export interface BackendStatus {
  readonly alias: string
  readonly state: BackendState
  /** Null while not known, so that the shape is always the same. */
  readonly era: string | null
  readonly revision: string | null
  readonly transport: string
  readonly pid: number | null
  /** ISO 8601: since when it is in this state. */
  readonly since: string
  readonly lastFailure: Failure | null
  readonly tools: number
  readonly prompts: number
  readonly resources: number
  readonly inFlight: number
  readonly restarts: number
  /** Absent where it never runs. */
  readonly calls?: CallLoad | undefined
}

/** How busy a backend is. */
export interface CallLoad {
  /** Ended since the start. */
  readonly total: number
  /** Of the last ten seconds. */
  readonly perSecond: number
  /** Milliseconds, of the last minute or two; null = there were none. */
  readonly p50Ms: number | null
  readonly p95Ms: number | null
  /** On the way now, the oldest first; at most twenty. */
  readonly now: readonly CallNow[]
}

export interface CallNow {
  readonly client: string
  readonly method: string
  /** Of a tool or prompt; a resource's URI without its query. */
  readonly name: string | undefined
  /** Milliseconds since it came. */
  readonly ms: number
}

/** A configured backend, alive or not: what the gateway is made of. It outlives every process behind it. */
export interface Member extends Backend {
  /** What it offers, as last known (from a live server or the stored catalogue). */
  readonly offer: Offer | undefined
  /** Each client has a server of its own here, so a watch must be of one client. */
  readonly apart?: boolean | undefined
  /**
   * Brings the offer up, dialling if need be; resolves with what is known when that failed (see `status`). `fresh`: what is
   * known from earlier does not do.
   */
  offered(fresh?: boolean): Promise<Offer | undefined>
  /** Calls back whenever `offer` really changed. Returns how to stop. */
  onOffer(listener: () => void): () => void
  status(): BackendStatus
  /** Asks what runs and has no calls on the way for a sign of life. Rejects when one gives none in `timeoutMs`. */
  probe?(timeoutMs: number): Promise<void>
}
