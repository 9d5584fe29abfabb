/**
 * Exchange: one HTTP request whose front door is passed, and the ways to answer it. Owns the shape only: the listener
 * makes exchanges, an era answers them. Neither knows how the other works.
 */
import type { McpError } from '../gateway/errors.ts'
import type { Message, RequestId } from './channel.ts'

/** What a POST brought: well-formed JSON-RPC, its ids strings or safe integers. */
export type Content =
  | { readonly kind: 'message'; readonly message: Message }
  /** `rest`: the elements that are no messages, each with the id it bears if that could be read. */
  | { readonly kind: 'batch'; readonly messages: readonly Message[]; readonly rest: readonly BrokenPart[] }

export interface BrokenPart {
  readonly error: McpError
  readonly id: RequestId | undefined
}

export type HeaderFields = Readonly<Record<string, string>>

/** Answered exactly once, by one of `json`, `empty` and `stream`; whatever comes after that does nothing. */
export interface Exchange {
  readonly method: string
  /** What follows `?` in the address, undecoded; empty if nothing does. */
  readonly query: string
  /** Who sent it, after authentication. */
  readonly principal: string
  /** Present on every POST. */
  readonly content: Content | undefined
  /** Called once if the client goes away before the answer is complete. */
  onGone: (() => void) | undefined
  /** Called once if no answer has begun for so long that something on the way might take the connection for dead. */
  onQuiet: (() => void) | undefined
  /** A header field by its lower-case name; fields that were sent twice never get here. */
  header(name: string): string | undefined
  /** Whether the client takes this media type; a client that does not say takes all. */
  accepts(type: string): boolean
  /** Answers with JSON text. */
  json(status: number, text: string, headers?: HeaderFields): void
  /** Answers with no body. */
  empty(status: number, headers?: HeaderFields): void
  /** Begins an answer of status 200 that is a stream of events. */
  stream(headers?: HeaderFields): EventStream
}

/** Server-sent events to one client. Kept alive by the listener; nothing here throws or waits. */
export interface EventStream {
  /** False once it has ended or the client is gone. */
  readonly open: boolean
  /**
   * Sends one event. A `sheddable` one is dropped when the client reads too slowly.
   * Returns whether it was taken.
   */
  send(data: string, options?: EventOptions): boolean
  end(): void
}

export interface EventOptions {
  readonly id?: string | undefined
  /** `message` unless it says otherwise. */
  readonly event?: string | undefined
  readonly sheddable?: boolean | undefined
}
