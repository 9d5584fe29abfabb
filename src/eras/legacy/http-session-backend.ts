/**
 * How a legacy conversation with a server holds together over HTTP: the session id, the revision on every request, the
 * stream of its own, what happens when the session is gone (2025-11-25 basic/transports). Says it; the channel does it.
 */
import type { Channel } from '../../transports/channel.ts'

/** Before `initialize`: the answer may carry a session id, and the server may be one of 2024-11-05. */
export function beginSession(channel: Channel): void {
  channel.tune?.({ echo: 'mcp-session-id', resumes: true, triesPair: true })
}

/** The fields of every request after the handshake; undefined where there are none (2025-06-18 basic/transports). */
export function sessionHeaders({ wantsHeaders }: Channel, revision: string | undefined): Readonly<Record<string, string>> | undefined {
  return wantsHeaders && revision !== undefined && revision >= '2025-06-18' ? { 'mcp-protocol-version': revision } : undefined
}

export interface SessionEvents {
  /** The session is gone: opens another one. */
  renew(): Promise<void>
  /** Something the server said unasked may have been missed. */
  missed(): void
}

/** After the handshake. */
export function keepSession(channel: Channel, headers: Readonly<Record<string, string>> | undefined, { renew, missed }: SessionEvents): void {
  channel.tune?.({ headers, renew, listens: missed })
}
