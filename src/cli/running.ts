/** The state of what runs already: the daemon of this config, or a listener that is named. Starts nothing. */
import { isAbsolute, resolve } from 'node:path'
import type { ProxyStatus } from '../app/build.ts'
import { places } from '../config/places.ts'
import { McpError } from '../gateway/errors.ts'
import type { Context } from './command.ts'
import { findToken } from './token.ts'

export interface Running {
  /** Asks again each time; undefined = it has gone. */
  look(): Promise<ProxyStatus | undefined>
}

export interface Whom {
  /** Of a listener: `http://host:port`, with whatever path. */
  readonly url: string | undefined
  readonly tokenFile: string | undefined
}

const patienceMs = 5_000
const maxBytes = 16 * 1024 * 1024

/** Throws NOT_RUNNING where a listener that was named does not answer. */
export async function running({ url, tokenFile }: Whom, context: Context): Promise<Running> {
  if (url === undefined) {
    const { placeOfRunning, runningDaemon } = await import('./daemon.ts')
    const place = await placeOfRunning(context)
    return { look: async () => (await runningDaemon(place))?.status as ProxyStatus | undefined }
  }
  const { io } = context
  const address = statusOf(url)
  const { token } = await findToken({
    flag: tokenFile === undefined || isAbsolute(tokenFile) ? tokenFile : resolve(io.cwd, tokenFile),
    environment: io.env['MCP_PROXY_TOKEN'],
    environmentFile: io.env['MCP_PROXY_TOKEN_FILE'],
    configured: undefined,
    state: places(io.env).state,
  })
  context.redactor.add(new Set([token]))
  return { look: () => ask(address, token) }
}

function statusOf(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (!parsed || !/^https?:$/.test(parsed.protocol)) throw new McpError('USAGE', `${url} is no http or https address`)
  return new URL('/status', parsed)
}

async function ask(address: URL, token: string): Promise<ProxyStatus> {
  let response: Response
  try {
    // The token is for this address and no other.
    response = await fetch(address, { headers: { authorization: `Bearer ${token}` }, redirect: 'error', signal: AbortSignal.timeout(patienceMs) })
  } catch (cause) {
    throw new McpError('NOT_RUNNING', `nothing answers at ${address.origin}`, { cause, hint: 'mcp-proxy serve --http starts a listener' })
  }
  if (response.status === 401 || response.status === 403)
    throw new McpError('USAGE', `${address.origin} does not take this token`, { hint: 'give the right one with --token-file or $MCP_PROXY_TOKEN' })
  const text = response.ok ? await response.text() : ''
  try {
    const status = JSON.parse(text.slice(0, maxBytes)) as ProxyStatus
    if (Array.isArray(status.backends)) return status
  } catch {
    // Told below.
  }
  throw new McpError('NOT_RUNNING', `what answers at ${address.origin} is no mcp-proxy (${response.status})`)
}
