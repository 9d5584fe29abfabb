/**
 * The two eras of the protocol, and the only file of them that others import: a client's channel is served in whatever
 * era each request belongs to, a server is connected to in the era it turns out to speak.
 */
import type { Connection } from '../gateway/contract.ts'
import { McpError } from '../gateway/errors.ts'
import type { Channel } from '../transports/channel.ts'
import { eraOfNotification, eraOfRequest, type Era } from './detect.ts'
import { openLegacyFront } from './legacy/client-side.ts'
import { ChannelLink } from './link.ts'
import { openModernFront } from './modern/client-side.ts'
import { Opening } from './opening.ts'
import type { ConnectOptions, Front, ServeOptions, Serving } from './options.ts'
import type { Incoming } from './peer.ts'

export { abilitiesOf } from './abilities.ts'
export { askKind } from './asks.ts'
export { httpFields, openHttp, type HttpFront } from './http.ts'
export { Shortfalls } from './shortfalls.ts'
export type { AskLimits, ConnectOptions, HttpOptions, OpeningMemory, ServeOptions, Serving, Verdict } from './options.ts'

/** How often a drain looks whether the last request is answered, milliseconds. */
const drainStepMs = 10

let served = 0

/** Serves one client over its channel until that is gone. One connection may carry both eras (2026-07-28 basic/versioning). */
export function serve(channel: Channel, options: ServeOptions): Serving {
  const clientId = `client-${++served}`
  const fronts: { [era in Era]?: Front } = {}
  let handshaken = false
  let draining = false
  let settleClosed = (): void => {}
  const closed = new Promise<void>(resolve => (settleClosed = resolve))
  const link = new ChannelLink(channel, options.log, options.lastAskId)
  const { peer } = link

  const front = (era: Era): Front =>
    (fronts[era] ??= era === 'modern' ? openModernFront(options, clientId) : openLegacyFront(peer, options, clientId))

  function request(incoming: Incoming): void {
    if (draining) return incoming.fail(new McpError('SHUTTING_DOWN', 'the gateway is shutting down'))
    const era = eraOfRequest(incoming.method, incoming.params, handshaken)
    if (era === 'legacy' && incoming.method === 'initialize') handshaken = true
    try {
      front(era).request(incoming)
    } catch (error) {
      options.log.error({ error, method: incoming.method }, 'a request could not be handled')
      incoming.fail(error)
    }
  }

  link.attach({
    request,
    notification: (method, params) => front(eraOfNotification(params, handshaken)).notification(method, params),
    stray: (what, message) => options.log.debug({ method: message?.method, id: message?.id }, what),
    leaving: () => {
      for (const each of Object.values(fronts)) each.drain?.()
    },
    closed: () => {
      for (const each of Object.values(fronts)) each.closed()
      settleClosed()
    },
  })

  return {
    closed,
    drain: async ms => {
      draining = true
      for (const each of Object.values(fronts)) each.drain?.()
      const until = performance.now() + ms
      while (peer.serving > 0 && performance.now() < until)
        await new Promise(resolve => setTimeout(resolve, Math.min(drainStepMs, ms)))
      peer.refuseAll(new McpError('SHUTTING_DOWN', 'the gateway is shutting down'))
      await channel.close()
    },
  }
}

/**
 * Dials a server and opens it in its era. Rejects with an McpError, the channel closed: BACKEND_START_FAILED, BACKEND_TIMEOUT,
 * BACKEND_PROTOCOL, or what the dial said.
 */
export const connect = (options: ConnectOptions): Promise<Connection> => new Opening(options).run()
