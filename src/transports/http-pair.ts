/**
 * The older HTTP transport, a stream to listen on and an address to send to that the stream tells first (2024-11-05
 * basic/transports, "HTTP with SSE"). Owns finding the address; what travels is the channel's.
 */
import { McpError } from '../gateway/errors.ts'
import { died } from './http-failures.ts'
import { Feed } from './http-feed.ts'
import type { Inbound } from './http-inbound.ts'
import type { Way } from './http-way.ts'

export interface PairEvents {
  /** Messages go to `target` from now on, and come on `feed`. */
  found(target: URL, feed: Feed): void
  /** There is no such pair. */
  missing(error: McpError): void
  /** The stream is over, and the conversation with it. */
  lost(error: McpError): void
}

/** Opens the stream and waits for the address. Returns how to give that up. */
export function findPair(way: Way, inbound: Inbound, events: PairEvents): () => void {
  let found = false
  const fail = (error: McpError): void => {
    clearTimeout(limit)
    feed.stop()
    if (found) events.lost(error)
    else events.missing(error)
  }
  const feed = new Feed({
    get: (fields, sink) => way.get(fields, sink),
    inbound,
    attempts: 0,
    pointed: address => {
      if (found) return
      const target = URL.canParse(address, way.url.href) ? new URL(address, way.url) : undefined
      // Our credentials go there.
      if (target?.origin !== way.url.origin)
        return fail(new McpError('BACKEND_PROTOCOL', 'the server names an address of another origin for our messages'))
      clearTimeout(limit)
      found = true
      events.found(target, feed)
    },
    over: error => fail(error ?? died('the server ended its stream')),
  })
  const limit = setTimeout(() => fail(new McpError('BACKEND_TIMEOUT', 'the server did not say where messages go')), way.timing.pair)
  feed.start(true)
  return () => {
    clearTimeout(limit)
    feed.stop()
  }
}
