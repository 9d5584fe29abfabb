/**
 * From flags to a house: finds and loads the config, opens the log, builds, and closes in the right order. What every command
 * that talks to servers stands on. Knows none of them.
 */
import { build, type House } from '../app/build.ts'
import { openLog, type OpenLog } from '../app/logging.ts'
import type { Config, LogLevelName } from '../config/config.ts'
import { findConfig } from '../config/find.ts'
import { loadConfig, type Loaded } from '../config/load.ts'
import { places } from '../config/places.ts'
import { CancelSource, type Cancellation } from '../gateway/cancellation.ts'
import { McpError } from '../gateway/errors.ts'
import type { Context, Globals } from './command.ts'
import { credentialsOf } from './credential-lookup.ts'
import { wantsColor } from './io.ts'

export type Catalog = Awaited<ReturnType<House['gateway']['catalog']>>

export interface Opened {
  readonly house: House
  readonly config: Config
  /** The config file, absolute. */
  readonly file: string
  readonly log: OpenLog
  /** Stops every server, in a hurry with less patience, then ends the log. */
  close(hurry?: boolean): Promise<void>
}

/** A server's log is its life story; a command prints its result itself and logs only what went wrong. */
export type Purpose = 'server' | 'command'

/** How long the first log lines of a server wait, so that its first answer does not: milliseconds. */
const holdMs = 250

/** `given`: a config that stands in no file; else the one that the flags and the environment name. */
export async function openHouse(
  context: Context,
  purpose: Purpose,
  given?: Loaded,
  /** Hears of every config that was loaded, the first one before anything is built of it. */
  heard: (loaded: Loaded) => void = () => {},
): Promise<Opened> {
  const { io, globals, redactor } = context
  const { loaded, notices } = given ? { loaded: given, notices: [] } : await findAndLoad(context)
  const follows = purpose === 'server' && !given
  heard(loaded)
  const { config, file } = loaded
  const isTerminal = io.stderr.isTTY === true
  const log = openLog({
    level: levelOf(globals, loaded, purpose),
    format: globals.logFormat ?? config.log.format ?? (isTerminal ? 'pretty' : 'json'),
    color: wantsColor(io.stderr, io.env, globals.color),
    sink: io.stderr,
    redactor,
    file: purpose === 'server' ? config.log.file : undefined,
    holdMs: purpose === 'server' && !isTerminal ? holdMs : 0,
  })
  if (purpose === 'server')
    for (const { message, file, line, column, backend, hint } of loaded.problems)
      log.warn({ at: `${file}:${line}:${column}`, backend, hint }, message)
  for (const notice of notices)
    if (purpose === 'server') log.warn({}, notice)
    else if (!globals.quiet && !globals.json) io.stderr.write(`note: ${notice}\n`)

  const house = build(loaded, {
    log,
    places: places(io.env),
    redact: redactor.scrub,
    debug: log.level === 'debug',
    ...(follows && {
      load: async () => {
        const fresh = await load(file, context)
        heard(fresh)
        return fresh
      },
    }),
    brief: purpose === 'command',
  })
  const reread = (): void => {
    log.reopen()
    void house.reload()
  }
  const release = follows ? io.onReload(reread) : undefined
  return {
    house,
    config,
    file,
    log,
    async close(hurry) {
      release?.()
      await house.close(hurry)
      await log.close()
    },
  }
}

/** The config the flags and the environment name, with its credentials; its secrets are hidden from here on. */
export async function findAndLoad(context: Context): Promise<{ loaded: Loaded; notices: readonly string[] }> {
  const { io, globals } = context
  const found = findConfig({ config: globals.config, env: io.env, cwd: io.cwd })
  return { loaded: await load(found.file, context), notices: found.notices }
}

async function load(file: string, { io, redactor }: Context): Promise<Loaded> {
  const loaded = await loadConfig(file, { env: io.env, credential: credentialsOf(io) })
  redactor.add(loaded.secrets)
  return loaded
}

function levelOf({ logLevel, debug, verbose, quiet, json }: Globals, { config, trail }: Loaded, purpose: Purpose): LogLevelName {
  if (logLevel) return logLevel
  if (debug) return 'debug'
  if (purpose === 'server') {
    if (verbose) return 'debug'
    return quiet && config.log.level !== 'silent' ? 'error' : config.log.level
  }
  if (verbose) return 'info'
  // Somebody who sets the variable for one command means that command.
  if (trail.variables.has(JSON.stringify(['log', 'level']))) return config.log.level
  // A script reads at most one line on stderr, and it is the failure.
  return json ? 'silent' : 'error'
}

/** Starts or contacts every server, known from earlier or not. Never rejects: their states say how it went. */
export async function probe({ gateway }: House): Promise<void> {
  await Promise.all(gateway.members.map(member => member.offered(true)))
}

/** Runs a command on an open house. A signal cancels its calls and ends it with CANCELLED. */
export async function withHouse(
  context: Context,
  work: (opened: Opened, cancellation: Cancellation) => Promise<number>,
): Promise<number> {
  const opened = await openHouse(context, 'command')
  const cancellation = new CancelSource()
  let release: (() => void) | undefined
  const interrupted = new Promise<never>((_, reject) => {
    release = context.io.onSignal(signal => {
      cancellation.cancel('interrupted')
      reject(new McpError('CANCELLED', `stopped by ${signal}`))
    })
  })
  try {
    return await Promise.race([work(opened, cancellation), interrupted])
  } finally {
    release?.()
    await opened.close()
  }
}
