/**
 * A channel whose user is not known yet: one Peer from the first message on, whose handlers are attached when it is
 * clear who they are. What comes earlier is kept, in order. Knows no era.
 */
import { McpError } from '../gateway/errors.ts'
import { silent, type Log } from '../gateway/log.ts'
import type { Channel } from '../transports/channel.ts'
import { contained } from './contained.ts'
import type { Link } from './options.ts'
import { Peer, type PeerHandlers } from './peer.ts'

/** Messages kept before anybody is attached; a server that talks more than this unasked is not heard. */
const maxEarly = 1000

export class ChannelLink implements Link {
  readonly channel: Channel
  readonly peer: Peer
  /** Why the peer ended the channel; undefined while it lives and when our own side closed it. */
  died: McpError | undefined
  private handlers: PeerHandlers | undefined
  private early: ((handlers: PeerHandlers) => void)[] = []

  /** Ids of requests to the other end count on from `lastId`. An error of whoever is attached ends this channel only; `log` has it. */
  constructor(channel: Channel, log: Log = silent, lastId?: number) {
    this.channel = channel
    this.peer = new Peer(channel, {
      request: incoming => this.handlers ? this.handlers.request(incoming) : this.keep(handlers => handlers.request(incoming)),
      notification: (method, params, message, relatedTo) =>
        this.handlers
          ? this.handlers.notification(method, params, message, relatedTo)
          : this.keep(handlers => handlers.notification(method, params, message, relatedTo)),
      stray: (what, message) => this.handlers?.stray?.(what, message),
      leaving: () => this.handlers?.leaving?.(),
      closed: reason => {
        this.died = reason
        if (this.handlers) this.handlers.closed(reason)
        else this.early.push(handlers => handlers.closed(reason))
      },
    }, lastId, receiver => contained(receiver, channel, log))
  }

  /** Hands the messages over, first those that came before. */
  attach(handlers: PeerHandlers): void {
    this.handlers = handlers
    for (const deliver of this.early.splice(0)) deliver(handlers)
  }

  private keep(deliver: (handlers: PeerHandlers) => void): void {
    if (this.early.length < maxEarly) this.early.push(deliver)
  }
}
