/** A server on node:http that a test scripts by hand, and a channel to it whose every word is kept. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { McpError } from '../../../src/gateway/errors.ts'
import type { Channel, Message, RequestId, SendOptions } from '../../../src/transports/channel.ts'
import { httpChannel, type HttpClientOptions, type HttpEndpoint } from '../../../src/transports/http-client.ts'
import { HttpPools } from '../../../src/transports/http-pools.ts'

export interface Asked {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly method: string
  readonly path: string
  readonly body: string
  /** The body as JSON; undefined if it is none. */
  readonly message: Message | undefined
}

export interface RemoteServer {
  readonly url: string
  readonly asked: readonly Asked[]
  close(): Promise<void>
}

export async function remoteServer(answer: (asked: Asked) => void): Promise<RemoteServer> {
  const asked: Asked[] = []
  const server: Server = createServer((request, response) => {
    let body = ''
    request.on('data', chunk => void (body += chunk))
    request.on('end', () => {
      let message: Message | undefined
      try {
        message = JSON.parse(body) as Message
      } catch {
        // No message.
      }
      const one = { request, response, body, message, method: request.method ?? '', path: request.url ?? '' }
      asked.push(one)
      answer(one)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    asked,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export const json = ({ response }: Asked, status: number, value: unknown, headers: Record<string, string> = {}): void => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(value))
}
export const result = (asked: Asked, value: object = {}, headers?: Record<string, string>): void =>
  json(asked, 200, { jsonrpc: '2.0', id: asked.message?.id, result: value }, headers)
export const events = ({ response }: Asked, ...blocks: string[]): void => {
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
  for (const block of blocks) response.write(block)
}
export const event = (message: object, id?: string): string => `${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(message)}\n\n`

export interface Heard {
  readonly channel: Channel
  readonly messages: { message: Message; relatedTo: RequestId | undefined }[]
  readonly malformed: { error: McpError; id: RequestId | undefined; part: string | undefined }[]
  /** Reasons of the end; empty while it lives. */
  readonly closed: (McpError | undefined)[]
  ask(id: number, method?: string, options?: SendOptions): void
  /** Waits until the request has its answer or failure. */
  end(id: number): Promise<Message | McpError>
}

export function listenTo(url: string, endpoint: Partial<HttpEndpoint> = {}, options: Partial<HttpClientOptions> = {}): Heard {
  const channel = httpChannel(
    { url, type: undefined, headers: {}, caFile: undefined, ...endpoint },
    { pools: new HttpPools({}), connectMs: 1000, messageBytes: 1024 * 1024, ...options },
  )
  const heard: Heard = {
    channel,
    messages: [],
    malformed: [],
    closed: [],
    ask: (id, method = 'tools/call', options) => channel.send({ jsonrpc: '2.0', id, method }, options),
    end: id =>
      until(
        () =>
          heard.messages.find(({ message }) => message.id === id && message.method === undefined)?.message ??
          heard.malformed.find(each => each.id === id)?.error ?? (heard.closed.length > 0 ? heard.closed[0] : undefined),
        `an answer to ${id}`,
      ),
  }
  channel.open({
    message: (message, relatedTo) => void heard.messages.push({ message, relatedTo }),
    malformed: (error, id, part) => void heard.malformed.push({ error, id, part }),
    closed: reason => void heard.closed.push(reason),
  })
  return heard
}

export async function until<T>(look: () => T | undefined, what: string, timeoutMs = 4000): Promise<T> {
  const end = Date.now() + timeoutMs
  for (;;) {
    const found = look()
    if (found !== undefined) return found
    if (Date.now() > end) throw new Error(`timed out waiting for ${what}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}
