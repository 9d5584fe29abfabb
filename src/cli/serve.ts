/**
 * `serve`: the merged server over HTTP, for many clients. Owns the flags, where the token comes from, and the order of the
 * end: readiness first, then calls, then servers, then the log.
 */
import { resolve } from 'node:path'
import { listenHttp, type HouseListener } from '../app/listen.ts'
import { handedOver, openNotify } from '../app/notify.ts'
import { places } from '../config/places.ts'
import { isUrlPath } from '../config/schema.ts'
import { McpError } from '../gateway/errors.ts'
import type { Context, Define } from './command.ts'
import { openHouse, type Opened } from './house.ts'
import type { Signal } from './io.ts'
import { exitCodes } from './report.ts'
import { findToken } from './token.ts'

/** How long calls in flight may take once we are asked to stop, milliseconds. */
const drainMs = { first: 25_000, second: 0 }

export interface ServeOptions {
  readonly http: boolean
  readonly host: string | undefined
  readonly port: number | undefined
  readonly path: string | undefined
  readonly socket: string | undefined
  readonly tokenFile: string | undefined
  readonly auth: boolean
  readonly tlsCert: string | undefined
  readonly tlsKey: string | undefined
}

export const define: Define = (command, start) => {
  command
    .option('--http', 'serve over HTTP')
    .option('--host <host>', 'address to bind (default: 127.0.0.1)')
    .option('--port <port>', 'port; 0 picks a free one (default: 3050)', portOf)
    .option('--path <path>', 'path of the merged endpoint (default: /mcp)', pathOf)
    .option('--socket <path>', 'serve on a unix socket')
    .option('--token-file <file>', 'file that holds the bearer token clients must send (default: $MCP_PROXY_TOKEN, else one is made)')
    .option('--no-auth', 'ask for no token; only on loopback and on a unix socket')
    .option('--tls-cert <file>', 'serve HTTPS with this certificate chain (PEM)')
    .option('--tls-key <file>', 'private key of that certificate (PEM)')
    .action((given: Partial<ServeOptions>) =>
      start(async context => {
        const options: ServeOptions = {
          host: undefined, port: undefined, path: undefined, socket: undefined, tokenFile: undefined, tlsCert: undefined, tlsKey: undefined,
          ...given,
          http: given.http === true,
          auth: given.auth !== false,
        }
        return serve(options, await openHouse(context, 'server'), context)
      }),
    )
}

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN
  if (!(port <= 65_535)) throw new McpError('USAGE', `--port ${text}: a port is a number from 0 to 65535`)
  return port
}

function pathOf(text: string): string {
  if (!isUrlPath(text)) throw new McpError('USAGE', `--path ${text}: a path begins with /, such as /mcp`)
  return text
}

export async function serve(options: ServeOptions, opened: Opened, context: Context): Promise<number> {
  const { house, log, file } = opened
  const { io } = context
  let listener: HouseListener
  try {
    listener = await openListener(options, opened, context)
  } catch (error) {
    await opened.close()
    throw error
  }
  let code: number = exitCodes.done
  let asked = 0
  let done = (): void => {}
  const ended = new Promise<void>(resolve => (done = resolve))
  const supervisor = openNotify({ env: io.env, pid: process.pid, log })
  const release = io.onSignal((signal: Signal) => {
    asked++
    supervisor.stopping()
    if (signal === 'SIGINT') code = exitCodes.interrupted
    log.info({ signal }, asked === 1 ? 'stopping: calls in flight may finish; a second signal ends them' : 'stopping now')
    void listener.drain(asked === 1 ? drainMs.first : drainMs.second).then(done)
  })
  try {
    for (const address of listener.addresses) io.stderr.write(`listening ${address}\n`)
    log.info({ file, servers: opened.config.backends.length }, 'serving over HTTP')
    supervisor.ready(`listening ${listener.addresses.join(' ')}`)
    void house.gateway.warm()
    await ended
    await opened.close(true)
  } finally {
    supervisor.close()
    release()
  }
  return code
}

/** Binds what the options say, or else the config. */
export async function openListener(options: ServeOptions, { house, log, config }: Opened, context: Context): Promise<HouseListener> {
  const { io, redactor, globals } = context
  const { listen } = config
  const chosen = options.http || options.socket !== undefined
  const configured = listen.http
  const path = (text: string | undefined): string | undefined => (text === undefined ? undefined : resolve(io.cwd, text))
  const socket = path(options.socket) ?? (chosen ? undefined : listen.socket)
  const overPort = options.http || (!chosen && configured !== undefined)
  if (!overPort && socket === undefined)
    throw new McpError('USAGE', 'say where to serve', { hint: 'mcp-proxy serve --http, or --socket PATH, or a "listen" section in the config' })

  const fds = overPort ? handedOver({ env: io.env, pid: process.pid }) : []
  const isHanded = fds.length > 0
  const host = options.host ?? configured?.host ?? '127.0.0.1'
  // Where a socket that was handed to us is bound was decided elsewhere.
  const isLocal = !overPort || (!isHanded && isLoopback(host))
  if (!options.auth && !isLocal)
    throw new McpError('USAGE', `--no-auth is refused on ${isHanded ? 'a socket that was handed to us' : host}: everybody who reaches it could use every server`, {
      hint: 'leave --no-auth out, or bind to 127.0.0.1',
    })
  if ((options.tlsCert === undefined) !== (options.tlsKey === undefined))
    throw new McpError('USAGE', '--tls-cert and --tls-key go together')
  const { tlsCert, tlsKey } = options
  const tls = tlsCert !== undefined && tlsKey !== undefined ? { cert: path(tlsCert) as string, key: path(tlsKey) as string } : configured?.tls

  let tokens: Map<string, string> | undefined
  if (options.auth) {
    const found = await findToken({
      flag: path(options.tokenFile),
      environment: io.env['MCP_PROXY_TOKEN'],
      environmentFile: path(io.env['MCP_PROXY_TOKEN_FILE'] || undefined),
      configured: configured?.tokenFile,
      state: places(io.env).state,
    })
    redactor.add([found.token])
    tokens = new Map([[found.token, 'bearer']])
    if (found.made !== undefined && !globals.quiet) io.stderr.write(`token in ${found.made}\n`)
    if (found.warning !== undefined) log.warn({}, found.warning)
  }
  return listenHttp({
    house, log, socket, tls, tokens, fds,
    path: options.path ?? configured?.path ?? '/mcp',
    port: overPort && !isHanded ? { host, port: options.port ?? configured?.port ?? 3050 } : undefined,
    hosts: [...(configured?.allowedHosts ?? []), ...(isLoopback(host) || isWildcard(host) ? [] : [host.includes(':') ? `[${host}]` : host])],
    origins: configured?.allowedOrigins ?? [],
  })
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
const isWildcard = (host: string): boolean => host === '0.0.0.0' || host === '::' || host === ''
