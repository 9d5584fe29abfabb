/**
 * Channels to remote servers, and the patience with those that ask for it. Loads the HTTP client when the first one is
 * dialled; all backends share its connections.
 */
import type { BackendConfig, UrlEndpoint } from '../config/config.ts'
import type { Call, Connection, Handler, Outcome } from '../gateway/contract.ts'
import { McpError, toMcpError } from '../gateway/errors.ts'
import type { Log } from '../gateway/log.ts'
import type { Channel } from '../transports/channel.ts'
import type { HttpPools } from '../transports/http-pools.ts'

/** Connections are the process's: two houses that go to the same place share them. */
let pools: HttpPools | undefined

/** Rejects with BACKEND_START_FAILED. */
export async function remoteChannel({ alias, timeouts, limits }: BackendConfig, endpoint: UrlEndpoint, log: Log): Promise<Channel> {
  const [{ httpChannel }, { HttpPools }] = await Promise.all([import('../transports/http-client.ts'), import('../transports/http-pools.ts')])
  pools ??= new HttpPools()
  return httpChannel(endpoint, { pools, connectMs: timeouts.connect, messageBytes: limits.messageBytes, log: log.child({ backend: alias }) })
}

/** Calls that may be made twice. */
const reads: ReadonlySet<string> = new Set([
  'tools/list', 'prompts/list', 'resources/list', 'resources/templates/list', 'resources/read', 'prompts/get', 'completion/complete',
])
/** A server that wants us to wait longer is refusing. */
const longestWaitMs = 5000

/** A connection that makes a read a second time, once, when the server says when to come back (Retry-After). */
export function patient(connection: Connection): Connection {
  const handle: Handler = call => (reads.has(call.method) ? again(connection, call) : connection.handle(call))
  return {
    name: connection.name,
    pid: connection.pid,
    closed: connection.closed,
    toldOnce: connection.toldOnce,
    handle,
    ...(connection.holds ? { holds: (call?: Call) => connection.holds!(call) } : {}),
    describe: () => connection.describe(),
    watch: watcher => connection.watch(watcher),
    notify: (method, params, client) => connection.notify(method, params, client),
    ping: timeoutMs => connection.ping(timeoutMs),
    close: () => connection.close(),
  }
}

async function again(connection: Connection, call: Call): Promise<Outcome> {
  try {
    return await connection.handle(call)
  } catch (thrown) {
    const { code, details } = toMcpError(thrown)
    const wait = details.retryAfterMs
    if (code !== 'BACKEND_HTTP' || wait === undefined || wait > longestWaitMs || call.requestState !== undefined) throw thrown
    await pause(wait, call)
    return connection.handle(call)
  }
}

function pause(ms: number, { cancellation }: Call): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      release()
      resolve()
    }, ms)
    const release = cancellation.subscribe(reason => {
      clearTimeout(timer)
      reject(new McpError('CANCELLED', reason ?? 'cancelled'))
    })
  })
}
