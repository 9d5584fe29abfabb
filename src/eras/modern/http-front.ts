/**
 * Revision 2026-07-28 over HTTP: each POST is a request of its own, answered with JSON, or with an event stream when
 * something comes before the result. Owns statuses and the form of answers; keeps nothing between requests.
 */
import { CancelSource } from '../../gateway/cancellation.ts'
import type { JsonObject } from '../../gateway/contract.ts'
import { McpError, rpcCodes, toMcpError, type RpcError } from '../../gateway/errors.ts'
import { messageText, RawMessage, type Message, type RequestId } from '../../transports/channel.ts'
import { RawJson } from '../../gateway/raw.ts'
import { SlotMap } from '../../gateway/slot-map.ts'
import type { EventStream, Exchange } from '../../transports/exchange.ts'
import type { Front, HttpOptions, ServeOptions } from '../options.ts'
import type { Incoming } from '../peer.ts'
import { openStatelessFront } from './client-side.ts'
import { toClient } from './failures.ts'
import { checkParamFields, checkStandardFields } from './header-check.ts'
import { headerMismatch, missingCapability, unsupportedVersion } from './wire.ts'

export class ModernHttp {
  private readonly front: Front
  private readonly toolOf: HttpOptions['tool']
  private readonly open = new SlotMap<number, HttpIncoming>()
  private stopping = false

  /** `options` are those of one principal. */
  constructor(options: ServeOptions, toolOf: HttpOptions['tool']) {
    this.front = openStatelessFront(options)
    this.toolOf = toolOf
  }

  get inFlight(): number {
    return this.open.size
  }

  post(exchange: Exchange, message: Message): void {
    if (message.id === undefined || message.id === null) {
      this.front.notification(message.method as string, message.params)
      return exchange.empty(202)
    }
    const incoming = new HttpIncoming(exchange, message, this.open)
    if (this.stopping) return incoming.fail(new McpError('SHUTTING_DOWN', 'the gateway is shutting down'))
    try {
      const field = (name: string): string | undefined => exchange.header(name)
      checkStandardFields(message.method as string, message.params, field)
      if (message.method !== 'tools/call') return this.front.request(incoming)
      const { params } = message
      const name = params?.['name']
      const tool = typeof name === 'string' ? this.toolOf(name) : undefined
      if (!(tool instanceof Promise)) {
        if (tool) checkParamFields(tool, params?.['arguments'], field)
        return this.front.request(incoming)
      }
      tool.then(found => {
        if (found) checkParamFields(found, params?.['arguments'], field)
        this.front.request(incoming)
      }).catch(error => incoming.fail(toClient(error)))
    } catch (error) {
      incoming.fail(toClient(error))
    }
  }

  /** Refuses what comes from here on, and ends streams that would never end by themselves. */
  drain(): void {
    this.stopping = true
    this.front.drain?.()
  }

  refuseAll(error: McpError): void {
    for (const [, incoming] of [...this.open]) {
      incoming.fail(error)
      incoming.cancellation.cancel(error.message)
    }
  }
}

/** The status of an answer that is an error ("Protocol Version Header", "Server Validation", basic/index "Error Codes"). */
function statusOf(error: McpError, { code }: RpcError): number {
  switch (code) {
    case rpcCodes.methodNotFound:
      return 404
    case headerMismatch:
    case missingCapability:
    case unsupportedVersion:
      return 400
    default:
      if (error.code === 'SHUTTING_DOWN') return 503
      return error.code === 'ENVELOPE_INVALID' || error.code === 'INVALID_REQUEST' ? 400 : 200
  }
}

let received = 0

class HttpIncoming implements Incoming {
  readonly id: RequestId
  readonly method: string
  readonly params: JsonObject | undefined
  readonly message: Message
  readonly relatedTo = undefined
  readonly cancellation = new CancelSource()
  private readonly exchange: Exchange
  private readonly siblings: SlotMap<number, HttpIncoming>
  private readonly serial = ++received
  private stream: EventStream | undefined
  private over = false

  constructor(exchange: Exchange, message: Message, siblings: SlotMap<number, HttpIncoming>) {
    this.id = message.id as RequestId
    this.method = message.method as string
    this.params = message.params
    this.message = message
    this.exchange = exchange
    this.siblings = siblings
    siblings.set(this.serial, this)
    // The stream belongs to this request alone, so its end is the wish to cancel ("Cancellation").
    exchange.onGone = () => {
      if (!this.finish()) return
      this.cancellation.cancel('the client closed the connection')
    }
    exchange.onQuiet = () => void this.begin()
  }

  respond(result: JsonObject | RawJson, extra?: JsonObject): void {
    if (!this.finish()) return
    if (result instanceof RawJson && !extra) this.answer(200, new RawMessage(this.id, result))
    else this.answer(200, { jsonrpc: '2.0', id: this.id, result: result instanceof RawJson ? result.value() : result, ...extra })
  }

  fail(error: unknown): void {
    if (!this.finish()) return
    const known = toMcpError(error)
    const rpc = known.toRpc()
    this.answer(statusOf(known, rpc), { jsonrpc: '2.0', id: this.id, error: rpc })
  }

  drop(): void {
    if (this.finish()) this.begin().end()
  }

  notify(method: string, params: JsonObject | undefined): void {
    if (this.over) return
    const sheddable = method === 'notifications/progress' || method === 'notifications/message'
    this.begin().send(JSON.stringify({ jsonrpc: '2.0', method, params }), { sheddable })
  }

  private begin(): EventStream {
    return (this.stream ??= this.exchange.stream())
  }

  private answer(status: number, message: Message): void {
    const text = messageText(message)
    if (!this.stream) return this.exchange.json(status, text)
    this.stream.send(text)
    this.stream.end()
  }

  private finish(): boolean {
    if (this.over) return false
    this.over = true
    this.siblings.delete(this.serial)
    return true
  }
}
