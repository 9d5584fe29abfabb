/**
 * `status`: the state of every server, of what runs already if there is something, else of servers started for the question.
 * Exit code 0 when all are healthy, 3 when one is not, 4 when a listener was named and is not there.
 */
import type { BackendState, BackendStatus } from '../gateway/contract.ts'
import { CancelSource, type Cancellation } from '../gateway/cancellation.ts'
import type { ProxyStatus } from '../app/build.ts'
import { styleFor, type Context, type Define } from './command.ts'
import { probe, withHouse, type Opened } from './house.ts'
import { departure, printable, type Paint, type Style } from './io.ts'
import { pause } from './pause.ts'
import { exitCodes, hintLines } from './report.ts'
import { running, type Whom } from './running.ts'
import { tableFor } from './table.ts'

const intervalMs = 2000

export interface StatusOptions {
  readonly watch: boolean
  /** Milliseconds between two looks. */
  readonly interval: number
}

export const define: Define = (command, start) => {
  command
    .option('--watch', 'show it again every two seconds, until interrupted')
    .option('--url <url>', 'of a listener, e.g. http://127.0.0.1:3050 (default: the daemon, if there is one)')
    .option('--token-file <file>', 'file of that listener’s token')
    .action(({ watch, url, tokenFile }: { watch?: boolean } & Partial<Whom>) =>
      start(async context => {
        const code = await statusOfRunning(watch === true, { url, tokenFile }, context)
        if (code !== undefined) return code
        return withHouse(context, (opened, cancellation) =>
          status({ watch: watch === true, interval: intervalMs }, opened, context, cancellation),
        )
      }),
    )
}

export async function status(
  options: StatusOptions,
  { house }: Opened,
  context: Context,
  cancellation: Cancellation,
): Promise<number> {
  // Nothing runs in the background that could be asked: the servers are started and asked themselves.
  await probe(house)
  if (cancellation.cancelled) return exitCodes.interrupted
  const hasLeft = departure(context.io.stdout)
  for (;;) {
    const now = house.status()
    show(now, options.watch, context)
    if (!options.watch) return now.backends.every(isFine) ? exitCodes.done : exitCodes.degraded
    await pause(options.interval, cancellation)
    if (cancellation.cancelled) return exitCodes.interrupted
    if (hasLeft()) return exitCodes.done
  }
}

/** undefined = nothing runs that could be asked. */
async function statusOfRunning(watch: boolean, whom: Whom, context: Context): Promise<number | undefined> {
  const found = await running(whom, context)
  const cancellation = new CancelSource()
  const hasLeft = departure(context.io.stdout)
  const release = watch ? context.io.onSignal(() => cancellation.cancel('interrupted')) : undefined
  try {
    for (;;) {
      const now = await found.look()
      if (!now) return undefined
      const code = showStatus(now, context, watch)
      if (!watch) return code
      await pause(intervalMs, cancellation)
      if (cancellation.cancelled) return exitCodes.interrupted
      // Its reader has left.
      if (hasLeft()) return exitCodes.done
    }
  } finally {
    release?.()
  }
}

/** Prints the status another process gave of itself, and says which exit code it means. */
export function showStatus(content: unknown, context: Context, again = false): number {
  const now = content as ProxyStatus
  show(now, again, context)
  return now.backends.every(isFine) ? exitCodes.done : exitCodes.degraded
}

/** A server nobody needs now is fine; so is one that was switched off. */
const isFine = ({ state }: BackendStatus): boolean => state === 'healthy' || state === 'idle' || state === 'disabled'

function show(now: ProxyStatus, again: boolean, context: Context): void {
  const { stdout } = context.io
  if (context.globals.json) return void stdout.write(`${JSON.stringify(now)}\n`)
  if (again && stdout.isTTY === true) stdout.write('\x1b[H\x1b[2J')
  const style = styleFor(context, stdout)
  const rows = now.backends.map(
    ({ alias, state, era, revision, transport, pid, tools, resources, prompts, inFlight, restarts }) => [
      alias,
      state,
      !revision ? '-' : era ? `${revision} ${era}` : revision,
      transport,
      String(pid ?? '-'),
      String(tools),
      String(resources),
      String(prompts),
      String(inFlight),
      String(restarts),
    ],
  )
  const head = ['SERVER', 'STATE', 'PROTOCOL', 'TRANSPORT', 'PID', 'TOOLS', 'RESOURCES', 'PROMPTS', 'IN FLIGHT', 'RESTARTS']
  stdout.write(`${paintStates(tableFor(stdout, head, rows, style.bold), now.backends, style)}\n`)
  const { lastReload } = now
  if (lastReload?.ok === false)
    stdout.write(`\nconfig not applied ${lastReload.at}: ${printable(lastReload.message ?? '', stdout)}\n`)
  for (const { client, held, changed } of now.adapted ?? []) {
    const parts = [...(changed > 0 ? [`${changed} tools changed`] : []), ...(held > 0 ? [`${held} held back`] : [])]
    stdout.write(`\nfor ${client}: ${parts.join(', ')} (mcp-proxy why TOOL --client ${client})\n`)
  }
  for (const { alias, lastFailure } of now.backends)
    if (lastFailure) {
      const clean = (text: string): string => printable(text, stdout)
      const { stage, at, message, hint } = lastFailure
      stdout.write(`\n${[`${alias}: ${stage} failed ${at}: ${clean(message)}`, ...hintLines(hint, clean)].join('\n')}\n`)
    }
}

/** Colours the state in each line after the columns were measured. */
export function paintStates(text: string, backends: readonly BackendStatus[], style: Style): string {
  const [head, ...lines] = text.split('\n')
  return [
    head,
    ...lines.map((line, index) => {
      const state = backends[index]?.state
      return state === undefined ? line : line.replace(` ${state} `, ` ${paintOf(state, style)(state)} `)
    }),
  ].join('\n')
}

function paintOf(state: BackendState, style: Style): Paint {
  if (state === 'healthy') return style.green
  if (state === 'idle' || state === 'disabled') return style.dim
  return state === 'starting' || state === 'installing' || state === 'degraded' ? style.yellow : style.red
}
