/**
 * The daemon itself: `daemon start --foreground`. Owns the order of its life: lock, pause after a crash, servers, socket, listeners,
 * and the same backwards.
 */
import type { Loaded } from '../config/load.ts'
import type { HouseListener } from '../app/listen.ts'
import { version } from '../app/version.ts'
import { McpError } from '../gateway/errors.ts'
import { pauses, recordCrash } from '../daemon/crashes.ts'
import { takeLock, type Lock } from '../daemon/lock.ts'
import { LogFile } from '../daemon/log-file.ts'
import type { DaemonPlace } from '../daemon/place.ts'
import { openDaemon, type Daemon } from '../daemon/server.ts'
import { parentProcess } from '../daemon/stop.ts'
import { variablesIn } from '../daemon/state.ts'
import type { Context } from './command.ts'
import { prepared } from './daemon.ts'
import { openHouse, type Opened } from './house.ts'
import type { Io } from './io.ts'
import { exitCodes } from './report.ts'
import { openListener } from './serve.ts'

const drainMs = { first: 25_000, second: 0 }

export interface ProcessOptions {
  /** Nobody reads stderr: the log goes to its file. */
  readonly detached: boolean
  /** It was started by a person, or for its listeners: nobody using it is no reason to end. */
  readonly stays: boolean
  /** Our parent starts us again when we crash. */
  readonly supervised: boolean
}

/** Runs until it is told to stop or nobody uses it. Exit code 6: it crashed too often. */
export async function runDaemon(place: DaemonPlace, options: ProcessOptions, outer: Context): Promise<number> {
  await prepared(place)
  const taken = await takeLock(place.lock)
  if ('owner' in taken) {
    outer.io.stderr.write(`note: a daemon runs already (process ${taken.owner.pid})\n`)
    return exitCodes.done
  }
  const { lock } = taken
  const context = options.detached ? withLog(outer, new LogFile(place.log)) : outer
  try {
    if (lock.crashed) await pauseAfterCrash(place, lock.crashed.since, context.io)
    const code = await serveUntilEnd(place, lock, options, context)
    await lock.release()
    return code
  } catch (error) {
    // What the config or the crashes before say is final. Anything else is a crash: the lock that stays tells the next one.
    if (isFinal(error)) await lock.release()
    throw error
  }
}

const isFinal = (error: unknown): boolean => error instanceof McpError && (error.exitCode === exitCodes.usage || error.exitCode === exitCodes.held)

/** The same io with another stderr; its getters stay what they are. */
const withLog = (context: Context, stderr: LogFile): Context => ({
  ...context,
  io: Object.create(context.io, { stderr: { value: stderr } }) as Io,
})

async function pauseAfterCrash(place: DaemonPlace, since: number, { stderr }: Io): Promise<void> {
  const ms = await recordCrash(place.crashes, since)
  if (ms === undefined)
    throw new McpError('DAEMON_HELD', `the daemon crashed ${pauses.length + 1} times in a row`, {
      hint: 'mcp-proxy daemon logs shows why; mcp-proxy daemon start tries again',
    })
  stderr.write(`note: the daemon before this one crashed: starting in ${ms / 1000} s\n`)
  await new Promise(resolve => setTimeout(resolve, ms))
}

async function serveUntilEnd(place: DaemonPlace, lock: Lock, { stays, supervised }: ProcessOptions, context: Context): Promise<number> {
  const { io } = context
  let variables: readonly string[] = []
  let daemon: Daemon | undefined
  const opened = await openHouse(context, 'server', undefined, ({ trail }: Loaded) => {
    variables = variablesIn([trail.settings.written, ...[...trail.backends.values()].map(({ written }) => written)])
    void daemon?.publish().catch(() => {})
  })
  const { house, log, config } = opened
  let listener: HouseListener | undefined
  try {
    listener = await listenIfConfigured(opened, context)
    const idleMs = stays || listener ? 0 : config.daemon.idleTimeout
    daemon = await openDaemon({
      place, lock, version, house, log, idleMs,
      env: io.env,
      supervisor: supervised ? await parentProcess() : undefined,
      variables: () => variables,
      serves: config.daemon.enabled,
    })
    log.info({ version, file: place.file, servers: config.backends.length }, 'the daemon is ready')
  } catch (error) {
    await listener?.drain(drainMs.second)
    await opened.close()
    throw error
  }
  let asked = 0
  const running = daemon
  const release = io.onSignal(signal => {
    asked++
    log.info({ signal }, asked === 1 ? 'stopping: calls in flight may finish; a second signal ends them' : 'stopping now')
    const ms = asked === 1 ? drainMs.first : drainMs.second
    running.leave('stop', ms)
    void listener?.drain(ms)
  })
  void house.gateway.warm()
  await running.left
  await listener?.drain(asked > 1 ? drainMs.second : drainMs.first)
  await opened.close(true)
  release()
  return exitCodes.done
}

/** A port that is taken is no reason to leave the clients on the socket without servers. */
async function listenIfConfigured(opened: Opened, context: Context): Promise<HouseListener | undefined> {
  const { listen } = opened.config
  if (!listen.http && listen.socket === undefined) return undefined
  const nothing = { host: undefined, port: undefined, path: undefined, socket: undefined, tokenFile: undefined, tlsCert: undefined, tlsKey: undefined }
  try {
    const listener = await openListener({ ...nothing, http: false, auth: true }, opened, context)
    for (const address of listener.addresses) opened.log.info({ address }, 'listening')
    return listener
  } catch (error) {
    opened.log.error({ error }, `not listening: ${error instanceof Error ? error.message : 'unknown failure'}`)
    return undefined
  }
}
