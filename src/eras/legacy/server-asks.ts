/**
 * Requests of a legacy server: finds whom each one is for and puts it there, or refuses it with the reason. Delivers
 * inside calls by parking them, outside calls through a listener. Never guesses.
 */
import type { Ask, ClientProfile, JsonObject, Watcher } from '../../gateway/contract.ts'
import { McpError, rpcCodes } from '../../gateway/errors.ts'
import { elicitation, isObject, joined, missingFor, requiredBy, roots, sampling } from '../asks.ts'
import type { ConnectOptions } from '../options.ts'
import type { Incoming } from '../peer.ts'
import { earOf, ownerOf, type Owner, type Room } from './attribution.ts'
import type { Interests } from './interests.ts'
import type { Desk, OpenCall } from './open-call.ts'
import type { Ownership } from './ownership.ts'
import { ParkedCalls, progressTo } from './parked-calls.ts'
import { holdsOpen } from './wire.ts'

export class ServerAsks {
  readonly parked: ParkedCalls
  private readonly options: ConnectOptions
  private readonly interests: Interests
  private readonly ownership: Ownership
  private readonly room: Room

  constructor(options: ConnectOptions, desk: Desk, interests: Interests, ownership: Ownership) {
    this.options = options
    this.interests = interests
    this.ownership = ownership
    this.room = {
      calls: desk.calls,
      get watchers() {
        return interests.watchers
      },
    }
    this.parked = new ParkedCalls(options.asks, (incoming, ask, from) => this.redirect(incoming, ask, from))
  }

  take(incoming: Incoming): void {
    if (incoming.method === 'ping') return incoming.respond({})
    if (incoming.method === roots && this.options.roots) return incoming.respond({ roots: this.options.roots })
    const owner = ownerOf(this.room, incoming.relatedTo, this.ownership.related(incoming.params))
    this.put(incoming, this.askOf(incoming), owner)
  }

  private put(incoming: Incoming, ask: Ask, owner: Owner): void {
    switch (owner.kind) {
      case 'call':
        return this.askCall(incoming, ask, owner)
      case 'watcher':
        return this.askWatcher(incoming, ask, owner.watcher)
      case 'nobody':
        if (ask.method === roots) return incoming.respond({ roots: this.interests.roots() })
        return this.refuse(incoming, ask, owner.reason)
    }
  }

  private askCall(incoming: Incoming, ask: Ask, { open, exact, sure }: Owner & { kind: 'call' }): void {
    const { client } = open.call
    if (![elicitation, sampling, roots].includes(ask.method)) {
      // No outcome carries other asks; a client that can be asked directly can still take them.
      const ear = earOf(this.room, client.id)
      if (ear.kind === 'watcher') return this.askWatcher(incoming, ask, ear.watcher)
      return incoming.fail(unsupported(ask, 'method'))
    }
    if (!this.isPossible(incoming, ask, client)) return this.beyond(ask, sure ? open : undefined)
    this.noteElicitation(ask, client)
    this.parked.add(open, incoming, fitFor(client, ask), exact)
  }

  private askWatcher(incoming: Incoming, ask: Ask, watcher: Watcher): void {
    if (!this.isPossible(incoming, ask, watcher.client)) return
    this.noteElicitation(ask, watcher.client)
    const { cancellation: withdrawn } = incoming
    const live = { withdrawn, refuse: (error: unknown) => incoming.fail(error), progress: progressTo(incoming) }
    watcher.ask!({ ...ask, from: this.options.name, live }, incoming.cancellation).then(
      result => incoming.respond(result),
      error => incoming.fail(error),
    )
  }

  /** Whether the client can do it; if not, the server has been told at once, so that its tool can do without. */
  private isPossible(incoming: Incoming, ask: Ask, client: ClientProfile): boolean {
    const missing = missingFor(client.capabilities, ask)
    if (!missing) return true
    if (ask.method === roots) incoming.respond({ roots: this.interests.roots(({ id }) => id === client.id) })
    else incoming.fail(unsupported(ask, missing))
    return false
  }

  /** The client of a call lacks what the server asked: known of the call from now on, if it must have been that one. */
  private beyond(ask: Ask, open: OpenCall | undefined): void {
    // Nothing was refused: no roots is an answer.
    if (ask.method === roots) return
    const lacking = requiredBy([ask])
    if (open) open.lacking = open.lacking ? joined(open.lacking, lacking) : lacking
    if (!this.options.client && !this.options.abilities) this.options.askedBeyond?.()
  }

  /** The call an ask hung on is over: the ask may have been another call's of that client, or nobody's. */
  private redirect(incoming: Incoming, ask: Ask, from: OpenCall): void {
    const { id } = from.call.client
    const owner = ownerOf(this.room, undefined, undefined)
    if (owner.kind === 'call' && owner.open.call.client.id === id) return this.put(incoming, ask, owner)
    // Whoever cancelled the call does not want to be asked for it.
    if (from.cancelled) return incoming.fail(new McpError('ASK_REFUSED', 'the call this belongs to was cancelled'))
    this.put(incoming, ask, earOf(this.room, id))
  }

  private refuse(incoming: Incoming, { method }: Ask, reason: string): void {
    this.options.log.warn({ backend: this.options.name, method }, `refused ${method} of ${this.options.name}: ${reason}`)
    incoming.fail(
      new McpError('ASK_REFUSED', `${method} cannot be delivered: ${reason}`, {
        hint: 'a backend of its own for each client (share: session) can always ask',
      }),
    )
  }

  /** The ask as it may travel on: without the token of this hop, and without a wish to see what other servers said. */
  private askOf({ method, params }: Incoming): Ask {
    let sent = params
    const meta = sent?.['_meta']
    if (isObject(meta) && meta['progressToken'] !== undefined) {
      const { progressToken: _, ...rest } = meta
      const { _meta, ...others } = sent as JsonObject
      sent = Object.keys(rest).length > 0 ? { ...others, _meta: rest } : others
    }
    const context = sent?.['includeContext']
    if (method === sampling && this.options.client === undefined && context !== undefined && context !== 'none')
      sent = { ...sent, includeContext: 'none' }
    return { method, params: sent }
  }

  private noteElicitation({ method, params }: Ask, client: ClientProfile): void {
    const id = params?.['elicitationId']
    if (method === elicitation && typeof id === 'string') this.ownership.addElicitation(id, client.id)
  }
}

/** The newer revision has no elicitation ids. */
function fitFor(client: ClientProfile, ask: Ask): Ask {
  if (holdsOpen(client) || ask.params?.['elicitationId'] === undefined) return ask
  const { elicitationId: _, ...params } = ask.params
  return { ...ask, params }
}

function unsupported({ method, params }: Ask, missing: 'method' | 'mode'): McpError {
  const mode = method === elicitation ? `${String(params?.['mode'] ?? 'form')} mode` : 'tools'
  const message = `the client does not support ${method}${missing === 'mode' ? ` with ${mode}` : ''}`
  const code = missing === 'method' ? rpcCodes.methodNotFound : rpcCodes.invalidParams
  return new McpError('ASK_UNSUPPORTED', message, { rpc: { code, message, data: { code: 'ASK_UNSUPPORTED' } } })
}

