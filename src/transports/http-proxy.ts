/**
 * Through the proxy that the environment names. Owns what is read there and who is told it: what signs us in at the proxy
 * goes to the proxy alone, and into no text.
 */
import { lookup } from 'node:dns'
import { isIP } from 'node:net'
import { EnvHttpProxyAgent, Pool, type Dispatcher } from 'undici'
import { McpError } from '../gateway/errors.ts'

export type Environment = Readonly<Record<string, string | undefined>>

interface Proxy {
  /** The variable it stands in. */
  readonly variable: string
  readonly uri: string
  /** Value of its Proxy-Authorization. */
  readonly token: string | undefined
}

type AgentOptions = NonNullable<ConstructorParameters<typeof EnvHttpProxyAgent>[0]> & { readonly connect: { readonly timeout: number } }

/** What stands before the host in a URL, as the value of an Authorization field; undefined = nothing does. */
export function basicOf({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined
  return `Basic ${Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64')}`
}

/** A percent sign that begins no escape was meant as it stands. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Throws BACKEND_START_FAILED when the variable names no proxy. */
export function proxyOf(protocol: string, env: Environment): Proxy | undefined {
  const names = ['http_proxy', 'HTTP_PROXY']
  const variable = [...(protocol === 'https:' ? ['https_proxy', 'HTTPS_PROXY'] : []), ...names].find(name => env[name])
  if (variable === undefined) return undefined
  const written = (env[variable] as string).trim()
  // `proxy:3128` will do elsewhere too.
  const text = written.includes('://') ? written : `http://${written}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url && /^socks5?:$/.test(url.protocol)) return { variable, uri: url.href, token: undefined }
  if (!url || !/^https?:$/.test(url.protocol))
    throw new McpError('BACKEND_START_FAILED', `${variable} does not name a proxy`, { hint: 'it should read http://HOST:PORT' })
  return { variable, uri: url.origin, token: basicOf(url) }
}

/**
 * The connections to the proxy itself. A proxy that is away is not the server that is away; and one that breaks off must
 * not be told by the code it comes with, which the agent takes for a reason to ask again, at once and for ever.
 */
class ToProxy extends Pool {
  private readonly variable: string

  constructor(origin: URL, { timeout }: AgentOptions['connect'], variable: string) {
    super(origin, { connect: { timeout } })
    this.variable = variable
  }

  override async connect(options: unknown): Promise<never> {
    try {
      return await (super.connect(options as never) as Promise<never>)
    } catch (cause) {
      const { code = 'unknown error' } = cause as NodeJS.ErrnoException
      const why = code === 'UND_ERR_SOCKET' ? 'broke the connection off' : `cannot be reached (${code})`
      throw new McpError('BACKEND_HTTP', `the proxy on the way ${why}`, { cause, hint: `check ${this.variable}, and NO_PROXY` })
    }
  }
}

/** `guard`: why these addresses of the host must not be gone to, if they must not. */
export class ProxiedAgent extends EnvHttpProxyAgent {
  private readonly hostname: string
  private readonly guard: ((addresses: readonly { address: string }[]) => Error | undefined) | undefined

  constructor(hostname: string, proxy: Proxy, env: Environment, options: AgentOptions, guard: ProxiedAgent['guard']) {
    const { uri, token, variable } = proxy
    super({
      ...options,
      ...(token !== undefined && { token }),
      httpProxy: uri,
      // The same one: an agent is for one origin.
      httpsProxy: '',
      noProxy: noProxyOf(env['no_proxy'] ?? env['NO_PROXY'] ?? ''),
      clientFactory: origin => new ToProxy(origin, options.connect, variable),
    })
    this.hostname = hostname
    this.guard = guard
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    // A copy: the agent writes the host into it, and ours are used again for other hosts.
    const own = { ...options, headers: { ...(options.headers as Record<string, string>) } }
    const { guard } = this
    if (!guard) return super.dispatch(own as never, handler)
    // It is the proxy that resolves and connects. What the name means here is the best that can be known of it.
    lookup(this.hostname, { all: true }, (error, addresses) => {
      const refusal = error ? undefined : guard(addresses)
      if (refusal) handler.onResponseError?.(undefined as never, refusal)
      else super.dispatch(own as never, handler)
    })
    return true
  }
}

/** The agent takes the end of an IPv6 address without brackets for a port. The zone of one (`fe80::1%eth0`) stands in no url. */
const noProxyOf = (text: string): string =>
  text
    .split(/[\s,]+/)
    .filter(Boolean)
    .map(entry => (isIP(entry) === 6 ? new URL(`http://[${entry.replace(/%.*/, '')}]`).hostname : entry))
    .join(',')
