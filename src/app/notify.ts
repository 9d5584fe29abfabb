/**
 * What we tell the system's own supervisor (sd_notify): ready, reloading is over, stopping, still alive. Node cannot send
 * datagrams to a unix socket, so `systemd-notify` sends them; without $NOTIFY_SOCKET nothing is started.
 */
import type { Log } from '../gateway/log.ts'

export interface Supervisor {
  /** Says that we serve, and from then on, if it wants to know, that we are alive. */
  ready(status: string): void
  /** Says that we are ending; signs of life go on, since the end may take half a minute. */
  stopping(): void
  close(): void
}

/** Runs a program to its end; rejects when it cannot be started or fails. */
export type Run = (program: string, args: readonly string[]) => Promise<void>

export interface NotifyOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly pid: number
  readonly log: Log
  readonly run?: Run | undefined
}

const silent: Supervisor = { ready() {}, stopping() {}, close() {} }

export function openNotify({ env, pid, log, run = runProgram }: NotifyOptions): Supervisor {
  if (!env['NOTIFY_SOCKET']) return silent
  let pulse: NodeJS.Timeout | undefined
  let failed = false
  // One after the other: a late READY after STOPPING would be taken at its word.
  let last = Promise.resolve()
  const tell = (...assignments: string[]): void => {
    last = last
      .then(() => run('systemd-notify', [`--pid=${pid}`, ...assignments]))
      .catch((error: Error) => {
        if (!failed) log.warn({ reason: error.message }, 'systemd cannot be told how we are')
        failed = true
      })
  }
  return {
    ready(status) {
      tell('READY=1', `STATUS=${status}`)
      const every = watchdogMs(env, pid)
      // A blocked event loop gives no sign, and that is what the watchdog is for.
      if (every !== undefined) pulse ??= setInterval(() => tell('WATCHDOG=1'), every / 3)
    },
    stopping: () => tell('STOPPING=1'),
    close: () => clearInterval(pulse),
  }
}

/** How long we may be silent, milliseconds; undefined = for ever (sd_watchdog_enabled(3)). */
function watchdogMs(env: NotifyOptions['env'], pid: number): number | undefined {
  const micros = Number(env['WATCHDOG_USEC'])
  const isMeant = env['WATCHDOG_PID'] === undefined || env['WATCHDOG_PID'] === String(pid)
  return isMeant && micros > 0 ? micros / 1000 : undefined
}

async function runProgram(program: string, args: readonly string[]): Promise<void> {
  const { execFile } = await import('node:child_process')
  await new Promise<void>((resolve, reject) =>
    execFile(program, [...args], { timeout: 5000 }, error => (error ? reject(error) : resolve())),
  )
}

/** The sockets somebody listens on for us until we do (sd_listen_fds(3)), from the third on. One left alone would keep its clients waiting. */
export function handedOver({ env, pid }: Pick<NotifyOptions, 'env' | 'pid'>): readonly number[] {
  if (env['LISTEN_PID'] !== String(pid)) return []
  return Array.from({ length: Number(env['LISTEN_FDS']) || 0 }, (_, index) => 3 + index)
}
