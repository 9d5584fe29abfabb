/**
 * `run`: the merged server over stdio, for one client: through the daemon where there can be one, else in this process. stdout
 * belongs to the protocol from here on: everything for people goes to stderr.
 */
import type { Context, Define } from './command.ts'
import type { Opened } from './house.ts'
import type { Signal } from './io.ts'
import { exitCodes } from './report.ts'

/** How long calls in flight may take once we are asked to stop, milliseconds. */
const drainMs = { first: 25_000, second: 0 }
/** How long a client may leave the last answer in our pipe, milliseconds. */
const flushMs = 1_000

export interface RunOptions {
  /** Which client this is for, as `--client` said it. */
  readonly client: string | undefined
  /** Settles when there is no point in serving any more, with the reason. */
  readonly failed?: Promise<Error> | undefined
  /** The words that start this, where it is no config file that says what is served. */
  readonly words?: readonly string[] | undefined
}

export const define: Define = (command, start) => {
  command
    .option('--client <name>', 'which client this is for, e.g. cursor')
    .option('--no-daemon', 'keep everything in this process (so does MCP_PROXY_NO_DAEMON=1)')
    .action(({ client, daemon }: { client?: string; daemon: boolean }) =>
      start(async context => {
        if (daemon && wantsDaemon(context)) {
          const { relay } = await import('./relay.ts')
          const code = await relay({ client }, context)
          if (code !== undefined) {
            await drained(context)
            return code
          }
        }
        const { openHouse } = await import('./house.ts')
        return run({ client }, await openHouse(context, 'server'), context)
      }),
    )
}

/** Who looks at this very process, or asks for its log, gets one that does the work itself. */
function wantsDaemon({ io, globals }: Context): boolean {
  const isOff = !['', '0', 'false', undefined].includes(io.env['MCP_PROXY_NO_DAEMON'])
  const isWatched = io.stdin.isTTY === true || globals.debug || globals.verbose || globals.logLevel !== undefined || globals.profile !== undefined
  return !isOff && !isWatched
}

/** In this process. Owns the order of its end: calls first, then servers, then the log. */
export async function run({ client, failed, words }: RunOptions, opened: Opened, context: Context): Promise<number> {
  const { house, log, file } = opened
  const { io } = context
  const serving = house.serveStdio(io.stdin, io.stdout, undefined, client)
  let code: number = exitCodes.done
  let asked = 0
  const stop = (signal: Signal): void => {
    asked++
    if (signal === 'SIGINT') code = exitCodes.interrupted
    log.info({ signal }, asked === 1 ? 'stopping: calls in flight may finish; a second signal ends them' : 'stopping now')
    // A client that has closed our stdin and then sends a signal waits for nothing but our end.
    const urgent = asked > 1 || io.stdin.readableEnded
    void serving.drain(urgent ? drainMs.second : drainMs.first)
  }
  const release = io.onSignal(stop)
  let failure: Error | undefined
  void failed?.then(error => {
    failure = error
    void serving.drain(drainMs.second)
  })
  log.info({ file: words ? undefined : file, client, servers: opened.config.backends.length }, 'serving over stdio')
  if (io.stderr.isTTY === true && !context.globals.quiet) void import('./welcome.ts').then(({ welcome }) => welcome(opened, context, words))
  try {
    await serving.closed
    log.debug({}, 'the client is gone')
    await opened.close(asked > 0)
  } finally {
    release()
  }
  await drained(context)
  if (failure) throw failure
  return code
}

/** The client's last answers leave us before we end, but a client that does not read cannot keep us. */
async function drained({ io: { stdout } }: Context): Promise<void> {
  if (stdout.writableLength > 0 && !stdout.destroyed)
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, flushMs)
      stdout.write('', () => {
        clearTimeout(timer)
        resolve()
      })
    })
  stdout.destroy()
}
