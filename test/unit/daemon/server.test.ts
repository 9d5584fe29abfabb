import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { protocol, readFrame, type Reply } from '../../../src/daemon/hello.ts'
import { takeLock, type Lock } from '../../../src/daemon/lock.ts'
import { daemonPlace, prepare, type DaemonPlace } from '../../../src/daemon/place.ts'
import { openDaemon, type Daemon, type DaemonOptions } from '../../../src/daemon/server.ts'
import { readState, type DaemonState } from '../../../src/daemon/state.ts'
import { silent } from '../../../src/gateway/log.ts'
import type { Channel, Message } from '../../../src/transports/channel.ts'

let folder: string
let place: DaemonPlace
let lock: Lock
let daemon: Daemon | undefined
const sockets: Socket[] = []

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mcp-proxy-server-'))
  place = daemonPlace({ config: folder, cache: folder, state: folder, runtime: join(folder, 'run'), credentials: folder }, join(folder, 'c.json'))
  await prepare(place)
  const taken = await takeLock(place.lock)
  if (!('lock' in taken)) throw new Error('taken')
  lock = taken.lock
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  daemon?.leave('stop', 0)
  await daemon?.left
  daemon = undefined
  rmSync(folder, { recursive: true, force: true })
})

/** A house that echoes: every request is answered with its own parameters. */
const house = {
  served: [] as Array<{ channel: Channel; client: string | undefined }>,
  status: () => ({ version: '1.0.0', pid: 1, uptimeMs: 1, backends: [] }),
  reload: async () => ({ at: '', ok: true, message: 'nothing' }),
  serve(channel: Channel, _lastAskId?: number, client?: string) {
    let over = (): void => {}
    const closed = new Promise<void>(resolve => (over = resolve))
    house.served.push({ channel, client })
    channel.open({ message: ({ id, params }: Message) => id != null && channel.send({ jsonrpc: '2.0', id, result: params ?? {} }), closed: () => over() })
    return { closed, drain: () => channel.close() }
  },
}

async function opened(more: Partial<DaemonOptions> = {}): Promise<DaemonState> {
  house.served.length = 0
  daemon = await openDaemon({
    place, lock, version: '1.0.0', house, log: silent, env: {}, variables: () => ['A'], serves: true, idleMs: 0, supervisor: undefined, ...more,
  })
  return (await readState(place.state)) as DaemonState
}

async function dialled(): Promise<Socket> {
  const socket = connect({ path: place.socket, allowHalfOpen: true })
  sockets.push(socket)
  socket.on('error', () => {})
  await new Promise(resolve => socket.once('connect', resolve))
  return socket
}
async function said(text: string): Promise<Reply | undefined> {
  const socket = await dialled()
  socket.write(`${text}\n`)
  return readFrame<Reply>(socket, 1000).catch(() => undefined)
}
const hello = (token: string, more: object = {}) => JSON.stringify({ protocol, version: '1.0.0', token, want: 'serve', ...more })

describe('the socket', () => {
  it('is the user’s alone, and is told of in a file that is', async () => {
    await opened()
    for (const file of [place.socket, place.state, place.lock]) expect(statSync(file).mode & 0o077, file).toBe(0)
  })

  it('serves who knows the token, from the bytes right behind the first line on', async () => {
    const { token } = await opened()
    const socket = await dialled()
    socket.write(`${hello(token, { client: 'cursor' })}\n{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":1}}\n`)
    expect(await readFrame(socket, 1000)).toMatchObject({ ok: true, pid: process.pid })
    expect(await readFrame(socket, 1000)).toEqual({ jsonrpc: '2.0', id: 1, result: { x: 1 } })
    expect(house.served[0]?.client).toBe('cursor')
  })

  it.each<[string, (token: string) => string]>([
    ['another token', token => hello(`${token}x`)],
    ['no token', () => hello('')],
    ['a token that is no text', () => hello(7 as unknown as string)],
    ['a client’s line', () => '{"jsonrpc":"2.0","id":1,"method":"initialize"}'],
    ['nothing', () => ''],
    ['no object', () => 'null'],
    ['no JSON', () => 'GET / HTTP/1.1'],
    ['more than a first line may be', token => hello(token, { x: 'x'.repeat(200_000) })],
    ['a version that is no text', token => hello(token, { version: 7 })],
  ])('serves nobody who comes with %s', async (_what, text) => {
    const { token } = await opened()
    expect((await said(text(token)))?.ok ?? false).toBe(false)
    expect(house.served).toEqual([])
    expect((await said(hello(token)))?.ok).toBe(true)
  })

  it.each<[string, object, string]>([
    ['a newer program', { version: '1.1.0' }, 'older'],
    ['a newer program that speaks otherwise', { version: '1.1.0', protocol: protocol + 1 }, 'older'],
    ['an older program that speaks otherwise', { version: '0.9.0', protocol: protocol - 1 }, 'protocol'],
  ])('tells %s why not', async (_who, more, why) => {
    const { token } = await opened()
    expect(await said(hello(token, more))).toEqual({ ok: false, why })
  })

  it('serves an older program that speaks the same', async () => {
    const { token } = await opened()
    expect(await said(hello(token, { version: '0.9.0' }))).toMatchObject({ ok: true })
  })

  it('serves nobody where the config wants no sharing', async () => {
    const { token } = await opened({ serves: false })
    expect(await said(hello(token))).toEqual({ ok: false, why: 'disabled' })
  })

  it('tells its state', async () => {
    const { token } = await opened()
    await said(hello(token))
    expect(await said(hello(token, { want: 'status' }))).toMatchObject({ ok: true, content: { version: '1.0.0', clients: 1 } })
    expect(await said(hello(token, { want: 'reload' }))).toMatchObject({ ok: true, content: { message: 'nothing' } })
  })
})

describe('its end', () => {
  const leftovers = () => readdirSync(join(folder, 'run'))

  it('comes when nobody has used it', async () => {
    const { token } = await opened({ idleMs: 40 })
    const socket = await dialled()
    socket.write(`${hello(token)}\n`)
    await readFrame(socket, 1000)
    await new Promise(resolve => setTimeout(resolve, 120))
    expect(leftovers()).toHaveLength(3)
    socket.destroy()
    await daemon?.left
    expect(leftovers()).toEqual([])
  })

  it('is told to its clients, and leaves nothing behind', async () => {
    const { token } = await opened()
    const socket = await dialled()
    socket.write(`${hello(token)}\n`)
    await readFrame(socket, 1000)
    expect(await said(hello(token, { want: 'stop' }))).toMatchObject({ ok: true })
    expect(await readFrame(socket, 1000)).toEqual({ daemon: 'stop', heard: 0 })
    await daemon?.left
    expect(leftovers()).toEqual([])
  })

  it('makes room at once for who replaces it', async () => {
    const { token } = await opened()
    expect(await said(hello(token, { want: 'replace' }))).toMatchObject({ ok: true })
    expect(leftovers()).toEqual([])
    expect(await takeLock(place.lock)).toHaveProperty('lock')
  })

  it('does not take away what another one has put in its place', async () => {
    await opened()
    rmSync(place.lock)
    const other = await takeLock(place.lock)
    daemon?.leave('restart', 0)
    await daemon?.left
    expect('lock' in other && (await other.lock.isOurs())).toBe(true)
    expect(await readState(place.state)).toBeDefined()
  })

  it('that cannot be told to others is a failure to start', async () => {
    if (process.getuid?.() === 0) return
    chmodSync(join(folder, 'run'), 0o500)
    await expect(opened()).rejects.toThrow()
    chmodSync(join(folder, 'run'), 0o700)
  })
})
