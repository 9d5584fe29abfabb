/**
 * One HTTP endpoint for both eras: each request goes to the era it belongs to, and none of them sees the other's. Owns the
 * choice and the end of both; knows no session and no stream.
 */
import { McpError } from '../gateway/errors.ts'
import type { Exchange } from '../transports/exchange.ts'
import { eraOfPost } from './detect.ts'
import { LegacyHttp } from './legacy/http-front.ts'
import { errorText } from './legacy/session.ts'
import { ModernHttp } from './modern/http-front.ts'
import type { HttpOptions } from './options.ts'

/** How often a drain looks whether the last request is answered, milliseconds. */
const drainStepMs = 10

/** Header fields that pages of other origins need to send and to read. */
export const httpFields: { readonly allow: readonly string[]; readonly expose: readonly string[] } = {
  allow: [
    'Authorization', 'Content-Type', 'Accept', 'MCP-Protocol-Version', 'Mcp-Session-Id', 'Last-Event-ID', 'Mcp-Method', 'Mcp-Name',
  ],
  expose: ['Mcp-Session-Id'],
}

export interface HttpFront {
  /** A request to the endpoint: POST, GET or DELETE. */
  endpoint(exchange: Exchange): void
  /** The two paths of revision 2024-11-05. */
  openStream(exchange: Exchange): void
  postMessage(exchange: Exchange): void
  /** Refuses new requests, waits up to `ms` for those in flight, cancels the rest, ends every session and stream. */
  drain(ms: number): Promise<void>
}

export function openHttp(options: HttpOptions): HttpFront {
  const legacy = new LegacyHttp(options)
  const modern = new Map<string, ModernHttp>()
  let draining = false

  function modernOf(principal: string): ModernHttp {
    let front = modern.get(principal)
    if (!front) {
      modern.set(principal, (front = new ModernHttp(options.serve(principal), options.tool)))
      if (draining) front.drain()
    }
    return front
  }

  function inFlight(): number {
    let sum = legacy.inFlight
    for (const front of modern.values()) sum += front.inFlight
    return sum
  }

  return {
    endpoint(exchange) {
      const { content } = exchange
      if (!content) return legacy.other(exchange)
      if (!exchange.accepts('application/json') || !exchange.accepts('text/event-stream'))
        return exchange.json(406, errorText('the client must accept application/json and text/event-stream'))
      if (content.kind === 'message' && eraOfPost(content.message, exchange.header('mcp-protocol-version')) === 'modern')
        return modernOf(exchange.principal).post(exchange, content.message)
      legacy.post(exchange)
    },
    openStream: exchange => legacy.openStream(exchange),
    postMessage: exchange => legacy.postMessage(exchange),
    async drain(ms) {
      draining = true
      legacy.drain()
      for (const front of modern.values()) front.drain()
      const until = performance.now() + ms
      while (inFlight() > 0 && performance.now() < until) await new Promise(resolve => setTimeout(resolve, drainStepMs))
      const error = new McpError('SHUTTING_DOWN', 'the gateway is shutting down')
      for (const front of modern.values()) front.refuseAll(error)
      legacy.refuseAll(error)
      legacy.close()
    },
  }
}
