/**
 * The daemon's side of its socket: who may come in, what they want, and the order of the end. Each connection that is served is a
 * client of its own; the servers behind are shared. Knows no protocol and no config.
 */
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import type { House } from '../app/build.ts'
import type { Log } from '../gateway/log.ts'
import type { Message } from '../transports/channel.ts'
import type { ProcessRef } from '../transports/process-tree.ts'
import { stdioChannel } from '../transports/stdio.ts'
import { compareVersions, goodbyeLine, maxHelloBytes, protocol, readFrame, writeFrame, type Goodbye, type Hello, type Reply } from './hello.ts'
import type { Lock } from './lock.ts'
import { socketOf, type DaemonPlace } from './place.ts'
import { fingerprint, isSame, readState, writeState } from './state.ts'

export interface DaemonOptions {
  readonly place: DaemonPlace
  readonly lock: Lock
  readonly version: string
  readonly house: Pick<House, 'serve' | 'status' | 'reload'>
  readonly log: Log
  readonly env: Readonly<Record<string, string | undefined>>
  /** Names of the environment variables that the config reads now. */
  readonly variables: () => readonly string[]
  /** Whether clients may be served; else it is here for its other listeners. */
  readonly serves: boolean
  /** Milliseconds without a client after which it leaves; 0 = it stays. */
  readonly idleMs: number
  readonly supervisor: ProcessRef | undefined
}

export interface Daemon {
  /** Settles when everybody has been served and the socket is gone. */
  readonly left: Promise<void>
  /** Tells others what has changed in the meantime. Rejects when that cannot be written. */
  publish(): Promise<void>
  /** Takes nobody new, lets calls finish for up to `ms`. Again: with the new `ms`. */
  leave(why: Goodbye, ms: number): void
}

interface Client {
  readonly drain: (ms: number) => Promise<void>
  readonly tell: (why: Goodbye) => void
}

const helloMs = 5_000
const drainMs = 25_000
/** How long a client that does not close its end keeps us, milliseconds. */
const partMs = 2_000
/** A client's line as over stdio, and a longer id in what a relay tells again of it. */
const maxLineBytes = 16 * 1024 * 1024 + 256
/** How often to look whether others can still find us, milliseconds. */
const lookEveryMs = 5_000

/** Listens and tells others so. Rejects when the socket cannot be bound. */
export async function openDaemon(options: DaemonOptions): Promise<Daemon> {
  const { place, lock, log, house } = options
  const token = randomBytes(32).toString('base64url')
  const nonce = randomBytes(8).toString('hex')
  // Answers that clients still owe to a daemon before us must fit no question of ours.
  const lastAskId = Date.now() * 1000
  const clients = new Set<Client>()
  const talks = new Set<Socket>()
  let leaving: Goodbye | undefined
  let idle: NodeJS.Timeout | undefined
  let settle = (): void => {}
  const left = new Promise<void>(resolve => (settle = resolve))

  const server = createServer({ allowHalfOpen: true }, socket => {
    talks.add(socket)
    socket.once('close', () => talks.delete(socket))
    socket.on('error', () => socket.destroy())
    void welcome(socket).catch(() => socket.destroy())
  })
  const socket = socketOf(place, nonce)
  await bind(server, socket)
  await publish()
  const look = setInterval(() => void lookAround(), lookEveryMs).unref()
  rest()

  async function publish(): Promise<void> {
    const variables = options.variables()
    await writeState(place.state, {
      pid: process.pid, nonce, version: options.version, socket, token, variables,
      fingerprint: fingerprint(variables, options.env, token), supervisor: options.supervisor,
    })
  }

  async function lookAround(): Promise<void> {
    // What cannot be read for a moment is no reason to go.
    if (leaving || (await lock.isOurs().catch(() => true))) return
    log.warn({}, 'the lock is another one’s or gone: leaving')
    leave('restart', drainMs)
  }

  function rest(): void {
    clearTimeout(idle)
    if (clients.size > 0 || options.idleMs === 0 || leaving) return
    idle = setTimeout(() => {
      log.info({ idleMs: options.idleMs }, 'nobody has used the daemon: leaving')
      leave('stop', drainMs)
    }, options.idleMs)
  }

  async function welcome(socket: Socket): Promise<void> {
    const hello = await readFrame<Hello>(socket, helloMs, maxHelloBytes)
    const refuse = (reply: Reply): void => void (writeFrame(socket, reply), socket.end())
    if (typeof hello.token !== 'string' || !isSame(hello.token, token)) return refuse({ ok: false, why: 'token' })
    if (hello.protocol !== protocol) return refuse({ ok: false, why: compareVersions(hello.version, options.version) > 0 ? 'older' : 'protocol' })
    if (hello.want === 'serve') {
      if (leaving) return refuse({ ok: false, why: 'leaving' })
      if (!options.serves) return refuse({ ok: false, why: 'disabled' })
      if (compareVersions(hello.version, options.version) > 0) return refuse({ ok: false, why: 'older' })
      return serve(socket, hello)
    }
    refuse({ ok: true, pid: process.pid, content: await answer(hello.want) })
    if (hello.want === 'stop') leave('stop', drainMs)
    if (hello.want === 'replace') leave('restart', drainMs)
  }

  async function answer(want: Hello['want']): Promise<unknown> {
    if (want === 'status') return { ...house.status(), clients: clients.size }
    if (want === 'reload') return house.reload()
    // Whoever starts another one now must not find us.
    if (want === 'replace') await hide()
    return undefined
  }

  function serve(socket: Socket, { client }: Hello): void {
    writeFrame(socket, { ok: true, pid: process.pid })
    let heard = 0
    // Before the channel listens: a line is counted when it is read, or what it asks might be asked twice.
    socket.on('data', (chunk: Buffer) => void (heard += chunk.length))
    const channel = stdioChannel(socket, socket, { log, partMs, maxLineBytes })
    const serving = house.serve(channel, lastAskId, client)
    const one: Client = {
      drain: ms => serving.drain(ms),
      // Through the channel, so that it stands between two of its lines.
      tell: why => channel.send(goodbyeLine(why, heard) as unknown as Message),
    }
    clients.add(one)
    rest()
    log.info({ client, clients: clients.size }, 'a client came')
    socket.resume()
    void serving.closed.then(async () => {
      await channel.close()
      socket.destroy()
      clients.delete(one)
      log.info({ client, clients: clients.size }, 'a client went')
      rest()
    })
  }

  let hidden: Promise<void> | undefined
  const hide = (): Promise<void> => (hidden ??= disappear())

  /** The socket first: who finds it gone looks at the lock. */
  async function disappear(): Promise<void> {
    const isOurs = await lock.isOurs().catch(() => false)
    server.close()
    if (isOurs && (await readState(place.state))?.nonce === nonce) await rm(place.state, { force: true })
    await lock.release().catch(() => {})
  }

  function leave(why: Goodbye, ms: number): void {
    const isFirst = leaving === undefined
    leaving ??= why
    clearTimeout(idle)
    clearInterval(look)
    // In one turn with the drain: nothing may be read between what is counted as heard and the refusals.
    if (isFirst) for (const client of clients) client.tell(why)
    const drained = [...clients].map(client => client.drain(ms))
    if (isFirst) void Promise.all([hide(), ...drained]).then(() => {
      for (const socket of talks) socket.end()
      settle()
    })
  }

  return { left, publish, leave }
}

async function bind(server: Server, socket: string): Promise<void> {
  const isPipe = process.platform === 'win32'
  // We hold the lock, so whatever is there belongs to nobody.
  if (!isPipe) await rm(socket, { force: true })
  // The file is there from the moment of binding, so it must not be open to others even then.
  const mask = isPipe ? undefined : process.umask(0o177)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(socket, () => {
        server.off('error', reject)
        resolve()
      })
      if (mask !== undefined) process.umask(mask)
    })
  } finally {
    if (mask !== undefined) process.umask(mask)
  }
}
