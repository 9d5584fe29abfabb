/** `top`: what the servers of a running proxy are doing, again every second on a terminal, else once. Exit code 4: nothing runs. */
import type { ProxyStatus } from '../app/build.ts'
import { treeMemory } from '../app/memory.ts'
import { CancelSource, type Cancellation } from '../gateway/cancellation.ts'
import type { BackendStatus } from '../gateway/contract.ts'
import { McpError } from '../gateway/errors.ts'
import { styleFor, type Context, type Define } from './command.ts'
import { printable } from './io.ts'
import { pause } from './pause.ts'
import { exitCodes } from './report.ts'
import { running, type Running, type Whom } from './running.ts'
import { paintStates } from './status.ts'
import { tableFor } from './table.ts'

export const define: Define = (command, start) => {
  command
    .option('--url <url>', 'of a listener, e.g. http://127.0.0.1:3050 (default: the daemon)')
    .option('--token-file <file>', 'file of that listener’s token')
    .action((whom: Partial<Whom>) =>
      start(async context => {
        const cancellation = new CancelSource()
        const release = context.io.onSignal(() => cancellation.cancel('interrupted'))
        try {
          const found = await running({ url: whom.url, tokenFile: whom.tokenFile }, context)
          return await top(found, context, cancellation, whom.url === undefined)
        } finally {
          release()
        }
      }),
    )
}

const intervalMs = 1_000

/** `isHere`: its processes are of this machine. */
export async function top(found: Running, context: Context, cancellation: Cancellation, isHere: boolean): Promise<number> {
  const { stdout } = context.io
  const isLive = stdout.isTTY === true && !context.globals.json
  for (;;) {
    const now = await found.look()
    if (!now) throw new McpError('NOT_RUNNING', 'nothing runs for this config', { hint: 'mcp-proxy daemon start, or --url of a listener' })
    const pids = now.backends.flatMap(({ pid }) => pid ?? [])
    const memory = isHere ? await treeMemory([now.pid, ...pids]) : new Map<number, number>()
    if (context.globals.json) {
      const backends = now.backends.map(backend => ({ ...backend, memoryBytes: backend.pid ? memory.get(backend.pid) : undefined }))
      stdout.write(`${JSON.stringify({ ...now, memoryBytes: memory.get(now.pid), backends })}\n`)
    } else stdout.write(`${isLive ? '\x1b[H\x1b[2J' : ''}${screen(now, memory, context)}\n`)
    if (!isLive) return exitCodes.done
    await pause(intervalMs, cancellation)
    if (cancellation.cancelled) return exitCodes.interrupted
  }
}

const head = ['SERVER', 'STATE', 'PID', 'MEMORY', 'RESTARTS', 'IN FLIGHT', 'CALLS/S', 'P50', 'P95', 'CALLS']

function screen(now: ProxyStatus, memory: ReadonlyMap<number, number>, context: Context): string {
  const { stdout } = context.io
  const style = styleFor(context, stdout)
  const rows = now.backends.map(({ alias, state, pid, restarts, inFlight, calls }) => [
    alias,
    state,
    String(pid ?? '-'),
    sizeText(pid ? memory.get(pid) : undefined),
    String(restarts),
    String(inFlight),
    calls ? calls.perSecond.toFixed(1) : '-',
    timeText(calls?.p50Ms),
    timeText(calls?.p95Ms),
    calls ? String(calls.total) : '-',
  ])
  const own = `mcp-proxy ${now.version}, process ${now.pid}, up ${spanText(now.uptimeMs)}, ${sizeText(memory.get(now.pid))} with its servers`
  const table = paintStates(tableFor(stdout, head, rows, style.bold), now.backends, style)
  const flying = now.backends.flatMap(backend => flightsOf(backend))
  const calls = flying.length === 0 ? '' : `\n\n${tableFor(stdout, ['IN FLIGHT', 'SERVER', 'CLIENT', 'METHOD', 'NAME'], flying, style.bold)}`
  return `${style.dim(own)}\n\n${table}${calls}`
}

const flightsOf = ({ alias, calls }: BackendStatus): string[][] =>
  (calls?.now ?? []).map(({ client, method, name, ms }) => [timeText(ms), alias, client, method, name ?? ''].map(cell => printable(cell, { write: () => true, isTTY: true })))

function sizeText(bytes: number | undefined): string {
  if (bytes === undefined) return '-'
  const mebibytes = bytes / 1024 / 1024
  return mebibytes >= 1024 ? `${(mebibytes / 1024).toFixed(1)} GiB` : `${Math.round(mebibytes)} MiB`
}

function timeText(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '-'
  if (ms >= 10_000) return `${Math.round(ms / 1000)} s`
  return ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`
}

function spanText(ms: number): string {
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 1) return `${Math.floor(ms / 1000)} s`
  if (minutes < 60) return `${minutes} min`
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(minutes / 1440)} days`
}
