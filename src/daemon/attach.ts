/**
 * From a process that wants the daemon to a connection with it: finds it, starts it if there is none, replaces an older one, and
 * says why when none can be had. Loads no config.
 */
import { spawn } from 'node:child_process'
import { closeSync, existsSync } from 'node:fs'
import { connect as dial, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { heldUntil } from './crashes.ts'
import { protocol, readFrame, writeFrame, type Hello, type Reply } from './hello.ts'
import { isAlive, readOwner } from './lock.ts'
import { openLogFile } from './log-file.ts'
import { prepare, type DaemonPlace } from './place.ts'
import { fingerprint, readState, type DaemonState } from './state.ts'

export interface AttachOptions {
  readonly place: DaemonPlace
  readonly version: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly client: string | undefined
  /** The running script. */
  readonly script: string
  /** Whether one may be started where there is none. */
  readonly mayStart: () => Promise<boolean>
  /** How long all of it may take, milliseconds. */
  readonly patienceMs: number
  /** Somebody else is about to start one, perhaps of another version: how long to leave that to them, milliseconds. */
  readonly leaveMs?: number | undefined
}

/** `because`: one line for people, where the reason is worth one. */
export type Attachment = { readonly socket: Socket } | { readonly socket: undefined; readonly because: string | undefined }

const replyMs = 5_000
/** Between two looks: little at first, since a daemon that starts is soon there. */
const stepMs = 10
const maxSteps = 8
const heldExit = 6
/** A supervisor starts the next daemon at once; this long it is believed to be there, milliseconds. */
const supervisorMs = 3_000

const alone = (because?: string): Attachment => ({ socket: undefined, because })

/** Never rejects. */
export async function attach(options: AttachOptions): Promise<Attachment> {
  try {
    await prepare(options.place)
    return await search(options)
  } catch {
    // A home that cannot be written to, or a system without sockets: no daemon, and nothing wrong.
    return alone()
  }
}

async function search({ place, version, env, client, script, mayStart, patienceMs, leaveMs = 0 }: AttachOptions): Promise<Attachment> {
  const begun = performance.now()
  const until = begun + patienceMs
  let started: Started | undefined
  const askedToGo = new Set<string>()
  for (let step = 1; performance.now() < until; await pause(Math.min(step++, maxSteps) * stepMs)) {
    const state = await readState(place.state)
    const answer = state && (await enter(state, { version, env, client }))
    if (answer?.socket) return answer
    if (answer?.because === 'environment')
      return alone('this process has other values for variables of the config than the daemon: keeping the servers in it')
    if (answer?.because === 'silent') return alone('the daemon does not answer: keeping the servers in this process')
    if (answer?.because === 'protocol') return alone('the daemon is of another version: keeping the servers in this process')
    if (answer?.because === 'disabled') return alone()
    if (state && answer?.because === 'older' && !askedToGo.has(state.nonce)) {
      askedToGo.add(state.nonce)
      await control(state, version, 'replace')
    }
    if (answer && answer.because !== 'gone') continue
    if (started) {
      if (started.code === heldExit) return alone(heldWords)
      if (started.code !== undefined && started.code !== 0) return alone()
      // It found another one, which is what is looked for now.
      if (started.code === 0) started = undefined
      continue
    }
    const owner = await readOwner(place.lock)
    const left = Math.max(leaveMs, state?.supervisor ? supervisorMs : 0)
    if ((owner && (await isAlive(owner))) || performance.now() < begun + left) continue
    if ((await heldUntil(place.crashes)) !== undefined) return alone(heldWords)
    if (!(await mayStart())) return alone()
    started = start(place, script, env)
  }
  return alone('the daemon did not start in time: keeping the servers in this process')
}

const heldWords = 'the daemon crashed too often and is held (mcp-proxy daemon start): keeping the servers in this process'

type Entry = { readonly socket: Socket } | { readonly socket: undefined; readonly because: 'environment' | 'silent' | 'gone' | Extract<Reply, { ok: false }>['why'] }

async function enter(
  state: DaemonState,
  { version, env, client }: Pick<AttachOptions, 'version' | 'env' | 'client'>,
): Promise<Entry> {
  const refused = (because: Exclude<Entry, { socket: Socket }>['because']): Entry => ({ socket: undefined, because })
  const socket = await reach(state.socket)
  if (!socket) return refused('gone')
  if (fingerprint(state.variables, env, state.token) !== state.fingerprint) {
    socket.destroy()
    return refused('environment')
  }
  writeFrame(socket, { protocol, version, token: state.token, want: 'serve', client })
  let reply: Reply
  try {
    reply = await readFrame<Reply>(socket, replyMs)
  } catch {
    const isSilent = isWaiting(socket)
    socket.destroy()
    return refused(isSilent ? 'silent' : 'gone')
  }
  if (reply.ok) return { socket }
  socket.destroy()
  return refused(reply.why)
}

const isWaiting = (socket: Socket): boolean => !socket.destroyed && !socket.readableEnded

/** Asks a daemon one thing; undefined = there is none that would, `silent` = it takes the question and says nothing. */
export async function control(state: DaemonState, version: string, want: Hello['want'], ms = replyMs): Promise<Extract<Reply, { ok: true }> | 'silent' | undefined> {
  const socket = await reach(state.socket)
  if (!socket) return undefined
  try {
    writeFrame(socket, { protocol, version, token: state.token, want })
    const reply = await readFrame<Reply>(socket, ms)
    return reply.ok ? reply : undefined
  } catch {
    return isWaiting(socket) ? 'silent' : undefined
  } finally {
    socket.destroy()
  }
}

function reach(path: string): Promise<Socket | undefined> {
  return new Promise(resolve => {
    const socket = dial({ path, allowHalfOpen: true })
    // From here on an error is followed by `close`, which is what is listened for.
    socket.on('error', () => resolve(undefined))
    socket.once('connect', () => resolve(socket))
  })
}

export interface Started {
  /** undefined = it still runs; null = a signal ended it. */
  readonly code: number | null | undefined
}

/**
 * A shell costs a fortieth of another process of ours. The daemon itself sees to the pauses; what ends in good order, or is held,
 * is over. So is what five times in a row did not come as far as a pause: the disk is full, or the program is gone. Twice in a row is
 * usual, since the first pause is short; and while the shell sleeps nobody holds the lock, so `daemon stop` finds nothing to stop.
 */
const supervision = `
system() { PATH="/usr/bin:/bin:\${PATH:-/bin}" "$@"; }
short=0
while :; do
  begun=$(system date +%s)
  "$@"
  code=$?
  [ "$code" -eq 1 ] || [ "$code" -ge 128 ] || exit "$code"
  if [ $(($(system date +%s) - begun)) -gt 1 ]; then short=0; else short=$((short + 1)); fi
  [ "$short" -lt 5 ] || exit "$code"
  [ "$short" -lt 3 ] || system sleep "$short"
done
`
const shell = '/bin/sh'

/** For glibc, which otherwise learns from one large result to keep tens of megabytes for the next (mallopt(3)). Others ignore it. */
const returning = { MALLOC_MMAP_THRESHOLD_: '1048576', MALLOC_TRIM_THRESHOLD_: '1048576' }

/** A process of its own that outlives us, on request with one that starts it again. What it says goes to its log. */
export function start(place: DaemonPlace, script: string, env: AttachOptions['env'], { supervised = false, flags = [] as readonly string[] } = {}): Started {
  const words = openLogFile(place.log)
  const isSupervised = supervised && existsSync(shell)
  const flag = isSupervised ? ['--supervised'] : supervised ? [] : ['--on-demand']
  const own = [script, 'daemon', 'start', '--foreground', '--detached', ...flag, ...flags, '--config', place.file]
  const [command, args] = isSupervised ? [shell, ['-c', supervision, 'mcp-proxy', process.execPath, ...own]] : [process.execPath, own]
  const child = spawn(command, args, {
    detached: true,
    windowsHide: true,
    cwd: dirname(place.file),
    env: { ...returning, ...env },
    stdio: ['ignore', 'ignore', words],
  })
  closeSync(words)
  let code: number | null | undefined
  child.once('exit', result => (code = result))
  child.once('error', () => (code = 1))
  child.unref()
  return {
    get code() {
      return code
    },
  }
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
