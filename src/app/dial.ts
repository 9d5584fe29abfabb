/**
 * From a configured endpoint to connections: picks the transport, finds the era, remembers the verdict. One line per
 * kind of transport; what a transport needs is injected here.
 */
import type { BackendConfig, CommandEndpoint, Endpoint } from '../config/config.ts'
import { connect, Shortfalls, type AskLimits, type ConnectOptions, type OpeningMemory } from '../eras/era.ts'
import type { InstanceSpec, StartOptions } from '../gateway/policy.ts'
import type { ClientProfile, Connection, JsonObject } from '../gateway/contract.ts'
import type { Log } from '../gateway/log.ts'
import type { Channel } from '../transports/channel.ts'
import { childProcess } from '../transports/child-process.ts'
import type { Reaper } from '../transports/reaper.ts'
import type { StopTiming } from '../transports/stop.ts'
import { hushed } from './redact.ts'
import { patient, remoteChannel } from './remote.ts'
import type { Verdicts } from './verdicts.ts'

export interface DialContext {
  readonly log: Log
  readonly self: JsonObject
  readonly reaper: Reaper
  readonly asks: AskLimits
  readonly redact: (text: string) => string
  /** How servers are ended; what it does not say has all the patience the spec gives. May change until then. */
  readonly stop: StopTiming
  /** Of this backend, by the number of the endpoint. */
  readonly verdicts: Verdicts
  /** Whether this backend has ever been up: if not, a package runner may have to download it. */
  readonly wasUp: () => boolean
}

/** Era probe in place: what answers at all answers much sooner. */
const probeMs = 1500

const runners = new Set(['npx', 'uvx', 'pipx', 'bunx', 'pnpx'])

export function instanceSpecs(backend: BackendConfig, context: DialContext): InstanceSpec[] {
  const shortfalls = new Shortfalls()
  return backend.endpoints.map((endpoint, index) => {
    const memory: OpeningMemory = {}
    return {
      transport: endpoint.kind === 'command' ? 'stdio' : (endpoint.type ?? 'http'),
      backup: endpoint.backup,
      spawns: endpoint.kind === 'command',
      installs: () => endpoint.kind === 'command' && isRunner(endpoint) && !context.wasUp(),
      connect: (client, start) => open(backend, endpoint, { key: String(index), memory, shortfalls }, client, start, context),
    }
  })
}

const programOf = (command: string): string => command.replace(/^.*[/\\]/, '').replace(/\.(cmd|exe)$/i, '')

/** Windows people write `cmd /c npx …`. */
function isRunner({ command, args }: CommandEndpoint): boolean {
  const [flag = '', behind = ''] = args
  return runners.has(programOf(programOf(command).toLowerCase() === 'cmd' && flag.toLowerCase() === '/c' ? behind : command))
}

async function open(
  backend: BackendConfig,
  endpoint: Endpoint,
  { key, memory, shortfalls }: { readonly key: string; readonly memory: OpeningMemory; readonly shortfalls: Shortfalls },
  client: ClientProfile | undefined,
  { limitMs, cancellation, abilities, askedBeyond, leaves }: StartOptions,
  context: DialContext,
): Promise<Connection> {
  const { log, self, asks, verdicts } = context
  const dialled: Promise<Channel>[] = []
  const dial = async (): Promise<Channel> => {
    const opening = openChannel(backend, endpoint, context)
    dialled.push(opening)
    const channel = await opening
    // A start nobody waits for any more must not leave a process behind.
    cancellation.subscribe(() => void channel.close())
    return channel
  }
  const options: ConnectOptions = {
    name: backend.alias,
    dial,
    log: log.child({ backend: backend.alias }),
    self,
    client,
    abilities: abilities?.declared,
    askedBeyond,
    shortfalls,
    roots: backend.roots,
    remembered: verdicts.get(key),
    remember: verdict => verdicts.set(key, verdict),
    memory,
    timeouts: { probe: Math.min(probeMs, limitMs), start: limitMs, call: backend.timeouts.call },
    asks,
    cancellation,
  }
  const connection = await connect(options).catch((error: unknown) => {
    // The error is for those who wait; the end of the process is for the next start to wait for.
    leaves?.(Promise.allSettled(dialled.map(async opening => (await opening).close())))
    throw hushed(error, context.redact)
  })
  return endpoint.kind === 'url' ? patient(connection) : connection
}

async function openChannel(backend: BackendConfig, endpoint: Endpoint, { log, reaper, redact, stop }: DialContext): Promise<Channel> {
  if (endpoint.kind === 'command')
    return childProcess(endpoint, {
      name: backend.alias,
      log: log.child({ backend: backend.alias }),
      reaper,
      redact,
      stop,
      maxLineBytes: backend.limits.messageBytes,
    })
  return remoteChannel(backend, endpoint, log)
}
