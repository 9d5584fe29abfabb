/**
 * Calls whose server waits for the client: each ask is held open here, the call ends with `inputRequired` and a ticket,
 * and the call that brings the ticket answers the asks and waits on. Owns tickets, their limits and their end.
 */
import { randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { CancelSource } from '../../gateway/cancellation.ts'
import type { Ask, Call, JsonObject, LiveAsk, Outcome } from '../../gateway/contract.ts'
import { McpError } from '../../gateway/errors.ts'
import { isObject } from '../asks.ts'
import type { AskLimits } from '../options.ts'
import type { Incoming } from '../peer.ts'
import type { OpenCall } from './open-call.ts'
import { holdsOpen } from './wire.ts'

/** Siblings that a server asks at once are gathered this long, in milliseconds, into one round. */
const settleMs = 5
/** A client that holds its request open keeps time itself; ours only catches what it left behind. */
const graceMs = 1000

interface Waiting {
  readonly incoming: Incoming
  /** The server named the call it asks for, or may have meant another one of the same client. */
  readonly exact: boolean
  readonly ask: Ask
  readonly withdrawn: CancelSource
  readonly refuse: (error: unknown) => void
  /** Part of a round the client has been shown. */
  shown: boolean
}

/** Finds another taker for an ask whose call is over. */
export type Redirect = (incoming: Incoming, ask: Ask, from: OpenCall) => void

export class ParkedCalls {
  readonly limits: AskLimits
  readonly redirect: Redirect
  private readonly tickets = new Map<string, Parking>()
  /** Tells tickets of this connection from those of one that is gone. */
  private readonly tag = randomBytes(6).toString('base64url')

  constructor(limits: AskLimits, redirect: Redirect) {
    this.limits = limits
    this.redirect = redirect
  }

  get full(): boolean {
    return this.tickets.size >= this.limits.parked
  }

  add(open: OpenCall, incoming: Incoming, ask: Ask, exact: boolean): void {
    const parking = (open.parking ??= new Parking(this, open))
    parking.add(incoming, ask, exact)
  }

  issue(parking: Parking): string {
    const ticket = `${this.tag}.${randomBytes(16).toString('base64url')}`
    this.tickets.set(ticket, parking)
    return ticket
  }

  has(ticket: string): boolean {
    return this.tickets.has(ticket)
  }

  revoke(ticket: string): void {
    this.tickets.delete(ticket)
  }

  /** Rejects with STATE_INVALID unless `call` is the one that was parked; a ticket is good once. */
  resume(call: Call): Promise<Outcome> {
    const ticket = call.requestState as string
    const parking = this.tickets.get(ticket)
    if (!parking) return Promise.reject(this.unknown(ticket))
    const { first } = parking.open
    const same =
      first.method === call.method && first.client.principal === call.client.principal && isSameRequest(first.params, call.params)
    if (!same) return Promise.reject(new McpError('STATE_INVALID', 'this state belongs to another call'))
    this.tickets.delete(ticket)
    return parking.resume(call)
  }

  /** The channel is gone and every parked call with it. */
  clear(): void {
    const parkings = [...this.tickets.values()]
    this.tickets.clear()
    for (const parking of parkings) parking.forget()
  }

  private unknown(ticket: string): McpError {
    return ticket.startsWith(`${this.tag}.`)
      ? new McpError('STATE_INVALID', 'nothing waits for this answer: it was given before, or came too late')
      : new McpError('STATE_INVALID', 'the call this answer belongs to was lost: the connection to its server ended', {
          hint: 'call again from the start',
        })
  }
}

/** Trace context and the like may differ from call to call. */
function isSameRequest(a: JsonObject, b: JsonObject): boolean {
  if (a === b) return true
  const { _meta: _a, ...mine } = a
  const { _meta: _b, ...theirs } = b
  return isDeepStrictEqual(mine, theirs)
}

/** The asks of one open call. */
export class Parking {
  readonly open: OpenCall
  private readonly table: ParkedCalls
  private readonly asks = new Map<string, Waiting>()
  private count = 0
  private settling: NodeJS.Timeout | undefined
  private expiry: NodeJS.Timeout | undefined
  private ticket: string | undefined
  private ended: { readonly outcome: Outcome | undefined; readonly error: unknown } | undefined
  private dropped = false

  constructor(table: ParkedCalls, open: OpenCall) {
    this.table = table
    this.open = open
  }

  get parked(): boolean {
    return this.ticket !== undefined
  }

  add(incoming: Incoming, ask: Ask, exact: boolean): void {
    const key = `ask-${++this.count}`
    const withdrawn = new CancelSource()
    const refuse = (error: unknown): void => {
      if (this.asks.delete(key)) incoming.fail(error)
    }
    this.asks.set(key, { incoming, exact, ask, withdrawn, refuse, shown: false })
    incoming.cancellation.subscribe(reason => {
      this.asks.delete(key)
      withdrawn.cancel(reason ?? 'the server no longer asks')
    })
    if (!this.parked) this.settle()
  }

  resume(call: Call): Promise<Outcome> {
    clearTimeout(this.expiry)
    this.ticket = undefined
    return new Promise((resolve, reject) => {
      this.open.resume(call, resolve, reject)
      if (call.cancellation.cancelled) {
        if (!this.ended) return
        this.release(waiting => waiting.incoming.fail(over()))
        return reject(new McpError('CANCELLED', call.cancellation.reason ?? 'cancelled'))
      }
      for (const [key, waiting] of this.asks) {
        const answer = waiting.shown ? call.inputResponses?.[key] : undefined
        if (!isObject(answer)) continue
        this.asks.delete(key)
        waiting.incoming.respond({ ...answer })
      }
      if (this.ended) {
        this.open.deliver(this.ended.outcome, this.ended.error)
        this.release(waiting => this.redirect(waiting))
      } else if (this.asks.size > 0) this.settle()
    })
  }

  /** The server is done. What it still asks goes to another call of the same client if it may have meant that one. */
  finished(outcome: Outcome | undefined, error: unknown): void {
    clearTimeout(this.settling)
    if (this.dropped) return
    if (!this.parked) this.open.deliver(outcome, error)
    else this.ended = { outcome, error }
    // A client that calls again in its own time may still bring the answer for that other call.
    const keep = this.parked && !holdsOpen(this.open.call.client)
    this.release(
      waiting => this.redirect(waiting),
      waiting => keep && waiting.shown && !waiting.exact,
    )
  }

  /** Drops the call without a word to the server. */
  forget(): void {
    clearTimeout(this.settling)
    clearTimeout(this.expiry)
    this.dropped = true
    this.release(waiting => waiting.incoming.fail(over()))
  }

  private settle(): void {
    this.settling ??= setTimeout(() => {
      this.settling = undefined
      this.park()
    }, settleMs)
  }

  private park(): void {
    if (this.asks.size === 0 || this.ended || this.parked) return
    if (this.table.full) {
      this.open.deliver(undefined, new McpError('BACKEND_BUSY', 'too many calls wait for an answer of their client'))
      return this.abandon('too many calls wait for an answer')
    }
    const requests: Record<string, Ask> = {}
    for (const [key, waiting] of this.asks) {
      waiting.shown = true
      const { ask, withdrawn, refuse } = waiting
      requests[key] = { ...ask, live: { withdrawn, refuse, progress: progressTo(waiting.incoming) } }
    }
    const ticket = (this.ticket = this.table.issue(this))
    const ms = this.table.limits.waitMs + (holdsOpen(this.open.call.client) ? graceMs : 0)
    this.expiry = setTimeout(() => {
      this.table.revoke(ticket)
      this.abandon('nobody answered in time')
    }, ms)
    this.expiry.unref()
    this.open.yield({ kind: 'inputRequired', requests, requestState: ticket })
  }

  /** Gives up on the client: the server's asks fail and its work is cancelled. */
  private abandon(reason: string): void {
    this.forget()
    this.open.cancel(reason)
  }

  private redirect({ incoming, ask, exact, shown }: Waiting): void {
    if (exact && shown) incoming.fail(over())
    else this.table.redirect(incoming, ask, this.open)
  }

  private release(end: (waiting: Waiting) => void, keep?: (waiting: Waiting) => boolean): void {
    for (const [key, waiting] of [...this.asks]) {
      if (keep?.(waiting)) continue
      this.asks.delete(key)
      waiting.withdrawn.cancel('the call is over')
      end(waiting)
    }
  }
}

const over = (): McpError => new McpError('ASK_REFUSED', 'the call this belongs to is over')

/** How the client's progress with an ask reaches the server, if it asked for it. */
export function progressTo(incoming: Incoming): LiveAsk['progress'] {
  const progressToken = (incoming.params?.['_meta'] as JsonObject | undefined)?.['progressToken']
  if (typeof progressToken !== 'string' && typeof progressToken !== 'number') return undefined
  return params => incoming.notify('notifications/progress', { ...params, progressToken })
}
