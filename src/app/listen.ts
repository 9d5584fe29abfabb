/**
 * The house over HTTP: which path leads where, on a port, a socket file or both. What each path means is others' business;
 * here it is only said who may come in and in which order all of it ends.
 */
import { existsSync } from 'node:fs'
import { chmod, lstat, unlink } from 'node:fs/promises'
import { connect as dialSocket } from 'node:net'
import { dirname } from 'node:path'
import { isTakenPath, oneServerPath, ownPaths } from '../config/schema.ts'
import { httpFields, openHttp, type HttpFront } from '../eras/era.ts'
import { McpError } from '../gateway/errors.ts'
import type { Gateway } from '../gateway/gateway.ts'
import type { Log } from '../gateway/log.ts'
import type { Exchange } from '../transports/exchange.ts'
import type { ListenerLimits, ListenerOptions, Listening, Route } from '../transports/http-listener.ts'
import type { House, ProxyStatus } from './build.ts'
import { readinessOf } from './readiness.ts'

export interface ListenOptions {
  readonly house: House
  readonly log: Log
  /** Path of the merged endpoint. */
  readonly path: string
  readonly port?: { readonly host: string; readonly port: number } | undefined
  /** Listening sockets that were handed to us, instead of `port`. */
  readonly fds?: readonly number[] | undefined
  /** Absolute path of a socket file. */
  readonly socket?: string | undefined
  readonly hosts: readonly string[]
  readonly origins: readonly string[]
  readonly tls?: { readonly cert: string; readonly key: string } | undefined
  /** Bearer tokens and whose they are; undefined = whoever reaches us is let in. */
  readonly tokens: ReadonlyMap<string, string> | undefined
  readonly limits?: Partial<ListenerLimits> | undefined
}

export interface HouseListener {
  /** Where it can be reached: URLs, and `unix:` and a path. */
  readonly addresses: readonly string[]
  /** Says at once that it is not ready, waits up to `ms` for what is in flight, then closes everything. */
  drain(ms: number): Promise<void>
}

/** Whoever has not read its answer by then is cut off, milliseconds. */
const closeMs = 1000

/** Who holds the token need not own the config; a hint may name folders of this machine. */
const withoutHints = (status: ProxyStatus): ProxyStatus => ({
  ...status,
  backends: status.backends.map(({ lastFailure, ...rest }) => ({ ...rest, lastFailure: lastFailure && { ...lastFailure, hint: undefined } })),
})

/** Binds. Rejects with LISTEN_FAILED, or with CONFIG_INVALID when the certificate cannot be used. */
export async function listenHttp(options: ListenOptions): Promise<HouseListener> {
  const { house, log, path, tokens, socket, port, fds = [] } = options
  if (isTakenPath(path))
    throw new McpError('USAGE', `the path ${path} is taken`, { hint: 'choose another one, such as /mcp' })
  const fronts = new Map<Gateway, HttpFront>()
  const isReady = readinessOf(house.gateway)
  let draining: Promise<void> | undefined

  const frontOf = (gateway: Gateway): HttpFront => {
    let front = fronts.get(gateway)
    if (!front) {
      front = openHttp({
        serve: principal => house.serveOptions(gateway, principal),
        tool: name => gateway.known.tool(name)?.item ?? gateway.catalog().then(catalog => catalog.tool(name)?.item),
        messagesPath: ownPaths.messages,
        log,
      })
      fronts.set(gateway, front)
    }
    return front
  }

  const answer = (exchange: Exchange, status: number, value: unknown): void => exchange.json(status, JSON.stringify(value))
  const merged = frontOf(house.gateway)
  const endpoint = ['POST', 'GET', 'DELETE']
  const look = ['GET', 'HEAD']
  const routes = new Map<string, Route>([
    [path, { methods: endpoint, serve: exchange => merged.endpoint(exchange) }],
    [ownPaths.stream, { methods: ['GET'], serve: exchange => merged.openStream(exchange) }],
    [ownPaths.messages, { methods: ['POST'], serve: exchange => merged.postMessage(exchange) }],
    [ownPaths.alive, { methods: look, open: true, serve: exchange => answer(exchange, 200, { alive: true }) }],
    [ownPaths.ready, { methods: look, open: true, serve: exchange => void tellReady(exchange) }],
    [ownPaths.status, { methods: look, serve: exchange => answer(exchange, 200, withoutHints(house.status())) }],
  ])

  async function tellReady(exchange: Exchange): Promise<void> {
    if (draining) return answer(exchange, 503, { ready: false, draining: true })
    const { ready, backends } = await isReady()
    // Anybody may ask, and only who may use the servers is told which there are.
    answer(exchange, ready && !draining ? 200 : 503, exchange.principal === '' ? { ready } : { ready, backends })
  }

  function routeOne(target: string): Route | undefined {
    const alias = oneServerPath.exec(target)?.[1]
    if (alias === undefined) return undefined
    return {
      methods: endpoint,
      // Which aliases there are is told to nobody without the token, so they are looked up behind it.
      serve: exchange => {
        const gateway = house.alone(alias)
        if (gateway) return frontOf(gateway).endpoint(exchange)
        answer(exchange, 404, { jsonrpc: '2.0', id: null, error: new McpError('INVALID_REQUEST', `there is no server called ${alias}`).toRpc() })
      },
    }
  }

  const { listen } = await import('../transports/http-listener.ts')
  const { bearerTokens } = await import('../transports/http-guard.ts')
  const tls = options.tls && (await import('../transports/tls.ts')).loadTls(options.tls, log)
  const common: ListenerOptions = {
    route: target => routes.get(target) ?? routeOne(target),
    authenticate: tokens ? bearerTokens(tokens) : () => 'local',
    hosts: options.hosts,
    origins: options.origins,
    cors: httpFields,
    log,
    limits: options.limits,
  }
  const listening: Listening[] = []
  const addresses: string[] = []
  const closeAll = async (): Promise<void> => {
    await Promise.all(listening.map(each => each.close(closeMs)))
  }
  try {
    if (port) {
      const bound = await listen(port, { ...common, tls })
      listening.push(bound)
      addresses.push(`${tls ? 'https' : 'http'}://${port.host.includes(':') ? `[${port.host}]` : port.host}:${bound.port}${path}`)
    }
    for (const fd of fds) {
      const bound = await listen({ fd }, { ...common, tls })
      listening.push(bound)
      addresses.push(bound.port === 0 ? `fd:${fd}` : `${tls ? 'https' : 'http'}://${bound.host}:${bound.port}${path}`)
    }
    if (socket !== undefined) {
      listening.push(await bindSocket(socket, at => listen(at, common)))
      addresses.push(`unix:${socket}`)
    }
  } catch (error) {
    await closeAll()
    throw error
  }

  async function end(ms: number): Promise<void> {
    await Promise.all([...fronts.values()].map(front => front.drain(ms)))
    await closeAll()
  }

  return {
    addresses,
    drain(ms) {
      // The second word is the more urgent one; what the first one waits for ends with it.
      if (draining) for (const front of fronts.values()) void front.drain(ms)
      return (draining ??= end(ms))
    },
  }
}

/** Binds a socket file that only its owner can use; one that a dead process left behind makes way. */
async function bindSocket(path: string, listen: (at: { path: string }) => Promise<Listening>): Promise<Listening> {
  // Binding says EACCES of it.
  if (process.platform !== 'win32' && !existsSync(dirname(path)))
    throw new McpError('LISTEN_FAILED', `cannot listen on ${path}: there is no folder ${dirname(path)}`, { hint: 'make it, or choose another path' })
  const there = await lstat(path).catch(() => undefined)
  if (there) {
    const taken = new McpError('LISTEN_FAILED', `cannot listen on ${path}: it is in use`)
    if (!there.isSocket() || (await answers(path))) throw taken
    await unlink(path)
  }
  // The file is there from the moment of binding, so it must not be open to others even then.
  const mask = process.platform === 'win32' ? undefined : process.umask(0o177)
  try {
    const bound = listen({ path })
    if (mask !== undefined) process.umask(mask)
    const listening = await bound
    if (mask !== undefined) await chmod(path, 0o600)
    return listening
  } finally {
    if (mask !== undefined) process.umask(mask)
  }
}

/** Refused is what a dead process leaves; one that is too busy for another connection is told in other ways (EAGAIN). */
const answers = (path: string): Promise<boolean> =>
  new Promise(resolve => {
    const socket = dialSocket(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'))
  })
