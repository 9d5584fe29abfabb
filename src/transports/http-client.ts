/**
 * Opens the channel to a remote server. Loaded on first use: it brings the HTTP client along. Owns what an endpoint is made
 * of; the channel itself does not know of files, pools and settings.
 */
import { McpError } from '../gateway/errors.ts'
import type { Log } from '../gateway/log.ts'
import type { Channel } from './channel.ts'
import { HttpChannel } from './http-channel.ts'
import type { HttpPools } from './http-pools.ts'
import { basicOf } from './http-proxy.ts'
import { Way, type HttpTiming } from './http-way.ts'

export interface HttpEndpoint {
  readonly url: string
  /** `http`: Streamable HTTP; `sse`: the older pair of endpoints; undefined = to be found out. */
  readonly type: 'http' | 'sse' | undefined
  /** Sent to the origin of `url` and to no other. */
  readonly headers: Readonly<Record<string, string>>
  readonly caFile: string | undefined
}

export interface HttpClientOptions {
  readonly pools: HttpPools
  /** Limit of opening a connection, milliseconds. */
  readonly connectMs: number
  /** Largest message taken, bytes. */
  readonly messageBytes: number
  readonly log?: Log | undefined
  readonly timing?: Partial<HttpTiming> | undefined
}

/** Header fields that belong to the connection, or that we write ourselves. */
const ours = new Set([
  'accept', 'connection', 'content-encoding', 'content-length', 'content-type', 'expect', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade',
])

/** Connects nowhere yet: the first message does. Throws BACKEND_START_FAILED. */
export function httpChannel({ url: address, type, headers, caFile }: HttpEndpoint, options: HttpClientOptions): Channel {
  if (!URL.canParse(address)) throw new McpError('BACKEND_START_FAILED', 'the url of the server is none')
  const url = new URL(address)
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new McpError('BACKEND_START_FAILED', `the url of the server begins with ${url.protocol}//`, { hint: 'only http:// and https:// can be connected to' })
  const { pools, connectMs, messageBytes, log, timing } = options
  const secret: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) if (!ours.has(name.toLowerCase())) secret[name.toLowerCase()] = value
  const basic = basicOf(url)
  if (basic !== undefined) secret['authorization'] ??= basic
  url.username = url.password = url.hash = ''
  const pool = { caFile, connectMs }
  const { dispatcher, release } = pools.take(url.origin, pool)
  const way = new Way(url, { pools, pool, secret }, dispatcher, timing)
  return new HttpChannel({ way, type, release, messageBytes, log })
}
