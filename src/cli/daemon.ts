/** `daemon`: start, stop and look after the process that all clients of one config share. The process itself is daemon-process.ts. */
import { createReadStream, existsSync, statSync, watchFile, unwatchFile } from 'node:fs'
import { realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { version } from '../app/version.ts'
import { findConfig, usualNames } from '../config/find.ts'
import { resolvePath } from '../config/paths.ts'
import { places } from '../config/places.ts'
import { control, start as launch } from '../daemon/attach.ts'
import { forgetCrashes, heldUntil } from '../daemon/crashes.ts'
import { isAlive, readOwner, type LockOwner } from '../daemon/lock.ts'
import { daemonPlace, prepare, type DaemonPlace } from '../daemon/place.ts'
import { readState, type DaemonState } from '../daemon/state.ts'
import { endProcess } from '../daemon/stop.ts'
import { McpError } from '../gateway/errors.ts'
import type { Context, Define } from './command.ts'
import { exitCodes } from './report.ts'
import { showStatus } from './status.ts'

/** Starting loads the config and binds; stopping lets calls finish. Milliseconds. */
const patienceMs = { start: 20_000, stop: 28_000, kill: 2_000 }
const stepMs = 30

export const define: Define = (command, start) => {
  command
    .command('start')
    .description('start it; it stays until it is stopped')
    .option('--foreground', 'stay in this process, and log to stderr')
    .option('--detached', 'log to the log file (how it is started in the background)')
    .option('--on-demand', 'end when nobody uses it')
    .option('--supervised', 'the parent process starts it again when it crashes')
    .action((given: { foreground?: boolean; detached?: boolean; onDemand?: boolean; supervised?: boolean }) =>
      start(async context => {
        if (!given.foreground) return startDaemon(context)
        const { runDaemon } = await import('./daemon-process.ts')
        const options = { detached: given.detached === true, stays: given.onDemand !== true, supervised: given.supervised === true }
        return runDaemon(placeOf(context), options, context)
      }),
    )
  command.command('stop').description('let calls finish, then end it').action(() => start(stopDaemon))
  command
    .command('restart')
    .description('stop it and start it; clients stay connected')
    .action(() =>
      start(async context => {
        // One that works is not ended for one that could not start.
        await (await import('./house.ts')).findAndLoad(context)
        if (await ownerOf(placeOf(context))) await stopDaemon(context)
        return startDaemon(context)
      }),
    )
  command.command('status').description('show the state of its servers; exit code 4 when it does not run').action(() => start(statusOfDaemon))
  command
    .command('logs')
    .description('show its log')
    .option('-f, --follow', 'go on showing what is added, until interrupted')
    .action(({ follow }: { follow?: boolean }) => start(context => showLogs(follow === true, context)))
  command.command('reload').description('let it read the config again').action(() => start(reloadDaemon))
}

export function placeOf({ io, globals }: Context): DaemonPlace {
  const { file } = findConfig({ config: globals.config, env: io.env, cwd: io.cwd })
  return daemonPlace(places(io.env), file)
}

/** The same for one that runs, which can be looked after when its config file is gone. */
export async function placeOfRunning(context: Context): Promise<DaemonPlace> {
  try {
    return placeOf(context)
  } catch (error) {
    const { io, globals } = context
    const folders = places(io.env)
    const named = globals.config ?? (io.env['MCP_PROXY_CONFIG'] || undefined)
    const files = named === undefined ? usualNames.map(name => join(folders.config, name)) : [resolvePath(named, io.cwd)]
    for (const file of files) {
      const folder = await realpath(dirname(file)).catch(() => dirname(file))
      const place = daemonPlace(folders, join(folder, basename(file)))
      if (await ownerOf(place)) return place
    }
    throw error
  }
}

/** Its folders, made and safe. */
export async function prepared(place: DaemonPlace): Promise<void> {
  await prepare(place).catch((cause: Error) => {
    throw new McpError('LISTEN_FAILED', `the daemon cannot have its socket: ${cause.message}`, {
      cause,
      hint: 'mend that folder, or name others with MCP_PROXY_HOME',
    })
  })
}

/** Whoever holds the lock and lives; it may not be ready yet. */
async function ownerOf(place: DaemonPlace): Promise<LockOwner | undefined> {
  const owner = await readOwner(place.lock)
  return owner && (await isAlive(owner)) ? owner : undefined
}

/** The state of a daemon that answers. Throws NOT_RUNNING where one stands still: clients are held up by it, whatever else could be said. */
export async function runningDaemon(place: DaemonPlace): Promise<{ state: DaemonState; status: unknown } | undefined> {
  const state = await readState(place.state)
  const reply = state && (await control(state, version, 'status'))
  if (reply === 'silent') throw silent(state)
  return state && reply ? { state, status: reply.content } : undefined
}

function say(context: Context, value: object, text: string): void {
  const { io, globals } = context
  if (globals.json) io.stdout.write(`${JSON.stringify(value)}\n`)
  else if (!globals.quiet) io.stdout.write(`${text}\n`)
}

const notRunning = (): McpError => new McpError('NOT_RUNNING', 'no daemon runs for this config', { hint: 'mcp-proxy daemon start' })

const silent = (state: DaemonState | undefined): McpError =>
  new McpError('NOT_RUNNING', `the daemon, process ${state?.pid}, does not answer`, { hint: 'mcp-proxy daemon restart ends it and starts another' })

async function startDaemon(context: Context): Promise<number> {
  const place = placeOf(context)
  await prepared(place)
  const before = await runningDaemon(place)
  if (before) {
    say(context, { pid: before.state.pid, started: false }, `running already, process ${before.state.pid}`)
    return exitCodes.done
  }
  // Who says it by hand has seen to the reason.
  await forgetCrashes(place.crashes)
  const from = sizeOf(place.log)
  const started = launch(place, context.io.script, context.io.env, { supervised: true, flags: flagsOf(context) })
  const until = performance.now() + patienceMs.start
  while (performance.now() < until) {
    const now = await runningDaemon(place).catch(() => undefined)
    if (now) {
      say(context, { pid: now.state.pid, started: true }, `started, process ${now.state.pid}`)
      return exitCodes.done
    }
    if (started.code !== undefined && started.code !== 0) {
      if (started.code === exitCodes.held) throw new McpError('DAEMON_HELD', 'the daemon crashes again and again', { hint: `see ${place.log}` })
      // What is wrong with the config is told here as everywhere.
      const { findAndLoad } = await import('./house.ts')
      await findAndLoad(context)
      throw new McpError('INTERNAL', `the daemon did not start: ${(await tail(place.log, from)).slice(-500)}`, { hint: `see ${place.log}` })
    }
    await pause()
  }
  throw new McpError('INTERNAL', 'the daemon did not start in time', { hint: `see ${place.log}` })
}

function flagsOf({ globals }: Context): string[] {
  return globals.logLevel ? ['--log-level', globals.logLevel] : globals.debug ? ['--debug'] : globals.verbose ? ['--verbose'] : []
}

async function stopDaemon(context: Context): Promise<number> {
  const place = await placeOfRunning(context)
  const owner = await ownerOf(place)
  if (!owner) throw notRunning()
  const state = await readState(place.state)
  const own = state?.pid === owner.pid ? state : undefined
  const isTold = typeof (own && (await control(own, version, 'stop'))) === 'object'
  const isGone = await endProcess(owner, { isTold, drainMs: patienceMs.stop, killMs: patienceMs.kill, supervisor: own?.supervisor })
  if (!isGone) throw new McpError('INTERNAL', `the daemon, process ${owner.pid}, does not end`)
  say(context, { pid: owner.pid, stopped: true }, 'stopped')
  return exitCodes.done
}

async function statusOfDaemon(context: Context): Promise<number> {
  const place = await placeOfRunning(context)
  const found = await runningDaemon(place)
  if (found) return showStatus(found.status, context)
  const until = await heldUntil(place.crashes)
  if (until !== undefined)
    throw new McpError('DAEMON_HELD', `the daemon crashed too often and is held until ${new Date(until).toISOString()}`, {
      hint: 'mcp-proxy daemon logs shows why; mcp-proxy daemon start tries again',
    })
  throw notRunning()
}

async function reloadDaemon(context: Context): Promise<number> {
  const state = await readState((await placeOfRunning(context)).state)
  const reply = state && (await control(state, version, 'reload', patienceMs.start))
  if (reply === 'silent') throw silent(state)
  if (!reply) throw notRunning()
  const outcome = reply.content as { readonly ok: boolean; readonly message?: string } | undefined
  if (outcome && !outcome.ok) throw new McpError('CONFIG_INVALID', outcome.message ?? 'the config was not applied')
  say(context, outcome ?? {}, outcome?.message ?? 'read again')
  return exitCodes.done
}

async function showLogs(follow: boolean, context: Context): Promise<number> {
  const { io } = context
  const { log } = await placeOfRunning(context)
  if (!existsSync(log) && !follow) throw new McpError('NOT_RUNNING', 'there is no log yet', { hint: 'mcp-proxy daemon start' })
  let at = 0
  const show = async (): Promise<void> => {
    const size = sizeOf(log)
    // A file that is shorter than before is another one.
    if (size < at) at = 0
    if (size === at) return
    const text = await tail(log, at)
    at = size
    io.stdout.write(text)
  }
  await show()
  if (!follow) return exitCodes.done
  return new Promise(resolve => {
    const end = (code: number): void => {
      unwatchFile(log)
      resolve(code)
    }
    watchFile(log, { interval: 300 }, () => void show())
    io.onSignal(() => end(exitCodes.interrupted))
    io.stdout.once('close', () => end(exitCodes.done))
  })
}

const sizeOf = (file: string): number => {
  try {
    return statSync(file).size
  } catch {
    return 0
  }
}

async function tail(file: string, from: number): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of createReadStream(file, { start: from })) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

const pause = (): Promise<void> => new Promise(resolve => setTimeout(resolve, stepMs))
