/** What both eras are given: the shapes shared by their client sides and backend sides. No behaviour. */
import type { Cancellation } from '../gateway/cancellation.ts'
import type { Backend, ClientProfile, Connection, JsonObject } from '../gateway/contract.ts'
import type { Log } from '../gateway/log.ts'
import type { Channel, Dial } from '../transports/channel.ts'
import type { Incoming, Peer, PeerHandlers } from './peer.ts'
import type { Shortfalls } from './shortfalls.ts'

export interface ServeOptions {
  readonly gateway: Backend
  /** Who is behind this channel, after authentication. */
  readonly principal: string
  readonly log: Log
  /** 32 random bytes: seals the state that leaves this process. */
  readonly sealKey: Buffer
  /** Whether to name the asking backend in front of an ask's text: so when the gateway has several. */
  readonly nameAsker: boolean
  readonly asks: AskLimits
  /** Ids of requests to the client count on from here; 0 by default. */
  readonly lastAskId?: number | undefined
}

export interface AskLimits {
  /** Rounds of asking one call may take. */
  readonly rounds: number
  /** Milliseconds a person has to answer one round, and a parked call waits. */
  readonly waitMs: number
  /** Parked calls per backend connection. */
  readonly parked: number
}

/** One client connection being served. */
export interface Serving {
  /** Settles when the channel is gone. Never rejects. */
  readonly closed: Promise<void>
  /** Refuses new calls with SHUTTING_DOWN, waits up to `ms` for those in flight, cancels the rest, closes the channel. */
  drain(ms: number): Promise<void>
}

/** What an HTTP endpoint of both eras needs. */
export interface HttpOptions {
  /** What serves the requests of one principal. */
  readonly serve: (principal: string) => ServeOptions
  /** A tool by its public name, as its own server describes it; waits for servers that have not told yet. */
  readonly tool: (name: string) => JsonObject | undefined | Promise<JsonObject | undefined>
  /** Where clients of revision 2024-11-05 send their messages. */
  readonly messagesPath: string
  readonly log: Log
  readonly sessions?: Partial<SessionLimits> | undefined
}

export interface SessionLimits {
  /** Sessions at once; the one longest unused makes room. */
  readonly count: number
  /** Milliseconds without a request or an open stream. */
  readonly idleMs: number
  /** Events of one session kept for clients that come back for them. */
  readonly events: number
  /** Characters of these events. */
  readonly eventChars: number
  /** Milliseconds an event is kept. */
  readonly eventMs: number
}

/** An era's client side over one channel. It gets the messages that `detect` says are its own. */
export interface Front {
  request(incoming: Incoming): void
  notification(method: string, params: JsonObject | undefined): void
  /** The channel ends soon: answers requests that would otherwise stay open. */
  drain?(): void
  closed(): void
}

/** Which protocol a server turned out to speak, to be remembered per backend. */
export interface Verdict {
  readonly era: 'legacy' | 'modern'
  readonly revision: string
  /** Epoch milliseconds. */
  readonly at: number
}

/** What openings of one server leave for the next one; whoever dials keeps it between them and looks at nothing in it. */
export interface OpeningMemory {
  /** The process ends whatever it is told first, so each start tries one opening only: this one next. */
  deadEnd?: 'probe' | 'handshake' | undefined
}

export interface ConnectOptions {
  readonly name: string
  readonly dial: Dial
  readonly log: Log
  /** Our own `Implementation` object. */
  readonly self: JsonObject
  /** The one client this connection is for; undefined = shared by many, whose abilities differ. */
  readonly client?: ClientProfile | undefined
  /** What all its clients can be asked, as `ClientCapabilities`; undefined = that differs. Means nothing beside `client`. */
  readonly abilities?: JsonObject | undefined
  /** Called when the server asked what the client of a call cannot do, having been told of more than that client can. */
  readonly askedBeyond?: (() => void) | undefined
  /** What calls of this backend are known to have failed for. */
  readonly shortfalls?: Shortfalls | undefined
  /** Configured roots; they win over what clients tell. */
  readonly roots?: readonly JsonObject[] | undefined
  readonly remembered?: Verdict | undefined
  readonly remember?: ((verdict: Verdict) => void) | undefined
  readonly memory?: OpeningMemory | undefined
  readonly timeouts: {
    /** Limit of the era probe in place, milliseconds. */
    readonly probe: number
    /** Limit of dialling plus opening, milliseconds. */
    readonly start: number
    /** Limit of a request of our own that is no call and has no other limit, milliseconds. */
    readonly call: number
  }
  readonly asks: AskLimits
  /** Gives the opening up. */
  readonly cancellation?: Cancellation | undefined
}

/** A dialled channel whose era is being found out: one peer, whose handlers the era that wins attaches. */
export interface Link {
  readonly channel: Channel
  readonly peer: Peer
  attach(handlers: PeerHandlers): void
}

/** Opens an era's backend side over a link; rejects with an McpError. */
export type OpenConnection = (link: Link, options: ConnectOptions) => Promise<Connection>
