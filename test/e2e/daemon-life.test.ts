/** The daemon's own life: who may use it, who replaces it, what its commands say, and what happens when it cannot be. */
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { eventually } from '../fixtures/clients/client.ts'
import { initialize, startRaw } from '../fixtures/clients/raw.ts'
import { call, share, textOf, v1Only } from './daemon-kit.ts'
import { bin, root, stdioBackend } from './harness.ts'

const says = async (client: ReturnType<typeof startRaw>, message: string) =>
  textOf(await client.request('tools/call', call('old__echo', { message })))

describe('run without a daemon', () => {
  it('where the config says so', async () => {
    const shared = share(v1Only({ daemon: { enabled: false } }))
    const client = shared.raw()
    await initialize(client)
    expect(await says(client, 'alone')).toBe('alone')
    expect(shared.daemons()).toEqual([])
    expect(client.stderr()).not.toContain('note:')
  })

  it('where the config reads variables that have other values here, and says so in one line', async () => {
    const shared = share(sandbox => ({ mcpServers: { old: { ...stdioBackend(sandbox, 'v1', 'old'), env: { KEY: '${WHO:-nobody}' } } } }))
    const clients = [shared.raw({ WHO: 'ada' }), shared.raw({ WHO: 'ada' })]
    for (const client of clients) await initialize(client)
    const other = shared.raw({ WHO: 'bob', UNRELATED: 'x' })
    await initialize(other)
    for (const client of [...clients, other]) expect(await says(client, 'hi')).toBe('hi')
    expect(shared.daemons()).toHaveLength(1)
    expect(shared.processes('v1.mjs')).toHaveLength(2)
    expect(other.stderr().match(/^note: .*$/gm)).toEqual([expect.stringContaining('variables')])
    expect(clients[1]?.stderr()).toBe('')
  })

  it.skipIf(process.getuid?.() === 0)('where its folder cannot be written to', async () => {
    const shared = share(v1Only())
    const home = shared.sandbox.env['MCP_PROXY_HOME'] as string
    mkdirSync(home, { recursive: true })
    chmodSync(home, 0o500)
    const client = shared.raw()
    await initialize(client)
    expect(await says(client, 'alone')).toBe('alone')
    expect(shared.daemons()).toEqual([])
    chmodSync(home, 0o700)
  })

  it('where the folder of the socket is a file', async () => {
    const shared = share(v1Only())
    const home = shared.sandbox.env['MCP_PROXY_HOME'] as string
    mkdirSync(home, { recursive: true })
    writeFileSync(join(home, 'run'), '')
    const client = shared.raw()
    await initialize(client)
    expect(await says(client, 'alone')).toBe('alone')
    expect(shared.daemons()).toEqual([])
  })

  it('where the folder of the socket can be written to by others', async () => {
    const shared = share(v1Only())
    const run = join(shared.sandbox.env['MCP_PROXY_HOME'] as string, 'run')
    mkdirSync(run, { recursive: true })
    chmodSync(run, 0o777)
    const client = shared.raw()
    await initialize(client)
    expect(await says(client, 'alone')).toBe('alone')
    expect(shared.daemons()).toEqual([])
    // Who asks for a daemon by name is told why there is none.
    for (const more of [[], ['--foreground']]) {
      const { code, stderr } = await shared.run('daemon', 'start', ...more)
      expect([code, stderr]).toEqual([1, expect.stringContaining(`LISTEN_FAILED: the daemon cannot have its socket: ${run} can be written to by others`)])
    }
  })

  it('with the config’s own error and exit code', async () => {
    const shared = share(() => ({ mcpServers: { a: { command: 3 } } }))
    const { code, stderr } = await shared.run('run')
    expect(code).toBe(2)
    expect(stderr).toContain('CONFIG_INVALID')
    expect(shared.files()).toEqual([])
  })
})

describe('leftovers', () => {
  it('a lock nobody holds, a socket nobody listens on and a broken state do not stop it', async () => {
    const shared = share(v1Only())
    const first = shared.raw()
    await initialize(first)
    const run = join(shared.sandbox.env['MCP_PROXY_HOME'] as string, 'run')
    const names = shared.files()
    await first.close()
    expect((await shared.run('daemon', 'stop')).code).toBe(0)
    const socket = join(run, names.find(name => name.endsWith('.sock')) as string)
    // A socket file that a dead process left.
    await new Promise<void>(resolve => {
      const server = createServer().listen(socket, () => {
        writeFileSync(`${socket}.keep`, '')
        resolve()
        server.unref()
      })
    })
    writeFileSync(join(run, names.find(name => name.endsWith('.lock')) as string), '{"pid":')
    writeFileSync(join(run, names.find(name => name.endsWith('.json')) as string), '{', { mode: 0o600 })
    rmSync(`${socket}.keep`)
    const client = shared.raw()
    await initialize(client)
    expect(await says(client, 'fine')).toBe('fine')
    expect(shared.daemons()).toHaveLength(1)
  })
})

describe('one after another', () => {
  it('a restart loses no call: those in flight finish, later ones wait', async () => {
    const shared = share(v1Only())
    const client = shared.raw()
    await initialize(client)
    const slow = client.request('tools/call', call('old__slow', { key: 'a', ms: 4000 }))
    await eventually(() => shared.sandbox.readJournal('old').find(({ event }) => event === 'started'), 'the call to start')
    const restarted = shared.run('daemon', 'restart')
    await eventually(() => (shared.files().some(name => name.endsWith('.json')) ? undefined : true), 'the daemon to begin its end', 15_000)
    const later = says(client, 'later')
    expect(textOf(await slow)).toBe('finished')
    expect(await later).toBe('later')
    expect((await restarted).code).toBe(0)
    expect(shared.daemons()).toHaveLength(1)
  })

  it('a restart with a config that cannot be used ends nothing', async () => {
    const shared = share(v1Only())
    await shared.run('daemon', 'start')
    const [before] = shared.daemons()
    writeFileSync(shared.target.args?.at(-1) as string, '{')
    expect(await shared.run('daemon', 'restart')).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('error CONFIG_INVALID') })
    expect(shared.daemons()).toEqual([before])
  })

  it('a newer run replaces an older daemon, and older clients follow it', async () => {
    const shared = share(v1Only())
    const older = shared.raw()
    await initialize(older)
    const [daemon] = shared.daemons()
    const copy = join(shared.sandbox.dir, 'newer')
    const built = join(bin, '../..')
    cpSync(join(built, 'dist'), join(copy, 'dist'), { recursive: true })
    cpSync(join(built, 'bin'), join(copy, 'bin'), { recursive: true })
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    writeFileSync(join(copy, 'package.json'), '{"type":"module"}')
    for (const name of readdirSync(join(copy, 'dist'), { recursive: true, encoding: 'utf8' })) {
      const file = join(copy, 'dist', name)
      if (!statSync(file).isFile()) continue
      const text = readFileSync(file, 'utf8')
      if (text.includes(`"${version}"`)) writeFileSync(file, text.replaceAll(`"${version}"`, '"99.0.0"'))
    }
    const newer = startRaw({ ...shared.target, args: [join(copy, 'bin/mcp-proxy.js'), ...(shared.target.args ?? []).slice(1)] })
    shared.closing(() => newer.close())
    expect((await initialize(newer))['result']).toMatchObject({ serverInfo: { version: '99.0.0' } })
    expect(await says(newer, 'new')).toBe('new')
    expect(await says(older, 'old')).toBe('old')
    await eventually(() => (shared.daemons().length === 1 ? true : undefined), 'the older daemon to end')
    expect(shared.daemons()).not.toContain(daemon)
    expect(shared.processes('v1.mjs')).toHaveLength(1)
  })

  it('is held after too many crashes, with an exit code of its own; run serves by itself', async () => {
    const shared = share(v1Only())
    const client = shared.raw()
    await initialize(client)
    const [daemon] = shared.daemons() as [number]
    await client.close()
    const run = join(shared.sandbox.env['MCP_PROXY_HOME'] as string, 'run')
    const state = shared.files().find(name => name.endsWith('.json')) as string
    writeFileSync(join(run, state.replace('.json', '.crashes.json')), JSON.stringify({ crashes: 5, last: Date.now() }))
    process.kill(daemon, 'SIGKILL')
    expect(await shared.run('daemon', 'start', '--foreground')).toMatchObject({ code: 6, stderr: expect.stringContaining('DAEMON_HELD') })
    expect((await shared.run('daemon', 'status')).code).toBe(6)
    const other = shared.raw()
    await initialize(other)
    expect(await says(other, 'alone')).toBe('alone')
    expect(other.stderr()).toMatch(/^note: .*held/m)
    expect(shared.daemons()).toEqual([])
    expect((await shared.run('daemon', 'start')).code).toBe(0)
    expect(shared.daemons()).toHaveLength(1)
  })
})

describe('what a session keeps when the daemon dies', () => {
  it('its log level and what it follows; questions it was being asked are withdrawn', async () => {
    const shared = share(v1Only())
    const client = shared.raw()
    await initialize(client, { elicitation: {} })
    await client.request('resources/subscribe', { uri: 'test://counter' })
    await client.request('logging/setLevel', { level: 'warning' })
    client.onRequest(() => undefined)
    const asking = client.request('tools/call', call('old__ask_form', { message: 'who?' }))
    const ask = await client.received('elicitation/create')
    process.kill(shared.daemons()[0] as number, 'SIGKILL')
    expect((await asking)['error']).toMatchObject({ code: -32603, data: { code: 'DAEMON_DIED' } })
    expect((await client.received('notifications/cancelled'))['params']).toMatchObject({ requestId: ask['id'] })
    // An answer that comes too late is nobody's.
    client.send({ jsonrpc: '2.0', id: ask['id'] as number, result: { action: 'accept', content: { name: 'late' } } })
    expect(await says(client, 'back')).toBe('back')
    const since = client.log.length
    await client.request('tools/call', call('old__write_log', { level: 'info', text: 'not wanted' }))
    await client.request('tools/call', call('old__write_log', { level: 'error', text: 'wanted' }))
    await client.request('tools/call', call('old__touch'))
    await client.received('notifications/resources/updated', since)
    const logged = client.log.slice(since).filter(({ message }) => message['method'] === 'notifications/message')
    expect(JSON.stringify(logged)).not.toContain('not wanted')
    expect(JSON.stringify(logged)).toContain('wanted')
    // Nothing that was told again is answered to the client.
    for (const { direction, message } of client.log)
      if (direction === 'received' && message['method'] === undefined) expect(String(message['id'])).toMatch(/^raw-/)
  })

  it('the streams of a client of the newer protocol go on', async () => {
    const shared = share(v1Only())
    const client = await shared.client('v2-modern')
    const stop = await client.subscribe({ lists: ['tools'], resources: ['test://counter'] })
    process.kill(shared.daemons()[0] as number, 'SIGKILL')
    await eventually(() => client.say('old__echo', { message: 'back' }).catch(() => undefined), 'an answer', 10_000)
    const since = client.notifications.length
    await client.call('old__touch')
    expect(await client.heard('notifications/resources/updated', since)).toMatchObject({ uri: 'test://counter' })
    await stop()
    expect(client.errors).toEqual([])
  })
})

describe('a run that is asked to end', () => {
  it.each([['SIGTERM', 0], ['SIGINT', 130]] as const)('by %s lets its calls finish, and leaves the others alone', async (signal, code) => {
    const shared = share(v1Only())
    const [client, other] = [shared.raw(), shared.raw()]
    await initialize(client)
    await initialize(other)
    const slow = client.request('tools/call', call('old__slow', { key: 'a', ms: 800 }))
    await eventually(() => shared.sandbox.readJournal('old').find(({ event }) => event === 'started'), 'the call to start')
    process.kill(client.pid as number, signal)
    expect(textOf(await slow)).toBe('finished')
    expect(await client.close()).toBe(code)
    expect(await says(other, 'still here')).toBe('still here')
    // One that is killed is a client that has gone.
    process.kill(other.pid as number, 'SIGKILL')
    await eventually(async () => {
      const { stdout } = await shared.run('daemon', 'status', '--json')
      return (JSON.parse(stdout) as { clients: number }).clients === 0 ? true : undefined
    }, 'the daemon to notice', 10_000)
  })
})

describe('its commands', () => {
  it('start, status, reload, logs, stop; and it stays though nobody uses it', async () => {
    const shared = share(v1Only({ daemon: { idleTimeout: 100 } }))
    expect((await shared.run('daemon', 'stop')).code).toBe(4)
    expect((await shared.run('daemon', 'reload')).code).toBe(4)
    expect(await shared.run('daemon', 'start', '--json')).toMatchObject({ code: 0, stdout: expect.stringContaining('"started":true') })
    expect(await shared.run('daemon', 'start', '--json')).toMatchObject({ code: 0, stdout: expect.stringContaining('"started":false') })
    await new Promise(resolve => setTimeout(resolve, 400))
    const status = await eventually(async () => {
      const found = await shared.run('daemon', 'status', '--json')
      return found.code === 0 ? found : undefined
    }, 'healthy servers', 10_000)
    expect(JSON.parse(status.stdout)).toMatchObject({ pid: shared.daemons()[0], clients: 0, backends: [{ alias: 'old', state: 'healthy' }] })
    // The same of the command that would otherwise start the servers itself.
    expect(JSON.parse((await shared.run('status', '--json')).stdout)).toMatchObject({ pid: shared.daemons()[0] })
    expect(await shared.run('daemon', 'reload')).toMatchObject({ code: 0, stdout: expect.stringContaining('no server changed') })
    await eventually(async () => ((await shared.run('daemon', 'logs')).stdout.includes('the daemon is ready') ? true : undefined), 'its log')
    expect(await shared.run('daemon', 'stop')).toMatchObject({ code: 0, stdout: 'stopped\n' })
    expect(shared.files()).toEqual([])
  })

  it('are there for a daemon whose config file is gone', async () => {
    const shared = share(v1Only())
    await shared.run('daemon', 'start')
    rmSync(shared.target.args?.at(-1) as string)
    expect((await shared.run('daemon', 'status')).stdout).toMatch(/^old /m)
    // Its log is written in passing, a moment after it answers.
    await eventually(async () => ((await shared.run('daemon', 'logs')).stdout.includes('the daemon is ready') ? true : undefined), 'its log')
    expect(await shared.run('daemon', 'stop')).toMatchObject({ code: 0, stdout: 'stopped\n' })
    expect(await shared.run('daemon', 'stop')).toMatchObject({ code: 2, stderr: expect.stringContaining('CONFIG_NOT_FOUND') })
  })

  it('a daemon that was started by hand is started again when it crashes, with and without clients', async () => {
    const shared = share(v1Only())
    expect((await shared.run('daemon', 'start')).code).toBe(0)
    const [first] = shared.daemons() as [number]
    process.kill(first, 'SIGKILL')
    const second = await eventually(() => shared.daemons().find(pid => pid !== first), 'another one', 10_000)
    const client = shared.raw()
    await initialize(client)
    process.kill(second, 'SIGKILL')
    await eventually(async () => ((await says(client, 'back')) === 'back' ? true : undefined), 'an answer', 10_000)
    expect(shared.daemons()).toHaveLength(1)
    // It is still one that stays, with somebody to look after it.
    await client.close()
    expect(shared.processes('daemon start --foreground')).toHaveLength(2)
    expect((await shared.run('daemon', 'stop')).code).toBe(0)
    await eventually(() => (shared.sandbox.survivors().length === 0 ? true : undefined), 'everything to end')
    expect(shared.files()).toEqual(expect.not.arrayContaining([expect.stringMatching(/lock|sock/)]))
  })

  it('a daemon lets calls finish on SIGTERM and reads its config again on SIGHUP', async () => {
    const shared = share(v1Only())
    const client = shared.raw()
    await initialize(client)
    const slow = client.request('tools/call', call('old__slow', { key: 'a', ms: 1000 }))
    await eventually(() => shared.sandbox.readJournal('old').find(({ event }) => event === 'started'), 'the call to start')
    const [daemon] = shared.daemons() as [number]
    process.kill(daemon, 'SIGHUP')
    await eventually(async () => ((await shared.run('daemon', 'logs')).stdout.includes('config read again') ? true : undefined), 'the config to be read')
    process.kill(daemon, 'SIGTERM')
    expect(textOf(await slow)).toBe('finished')
    await eventually(() => (shared.daemons().length === 0 ? true : undefined), 'its end', 10_000)
  })

  it('serves HTTP in the same process where the config says so', async () => {
    const shared = share(v1Only({ listen: { http: { port: 0 } } }))
    expect((await shared.run('daemon', 'start')).code).toBe(0)
    const url = await eventually(async () => /http:\/\/127\.0\.0\.1:\d+\/mcp/.exec((await shared.run('daemon', 'logs')).stdout)?.[0], 'its address')
    expect((await fetch(url.replace('/mcp', '/healthz'))).status).toBe(200)
    expect((await fetch(url, { method: 'POST' })).status).toBe(401)
    const client = shared.raw()
    await initialize(client)
    expect(await says(client, 'both')).toBe('both')
    expect(shared.processes('v1.mjs')).toHaveLength(1)
  })

  it('keeps servers of their own for clients that must not share them', async () => {
    const shared = share(sandbox => ({ mcpServers: { old: { ...stdioBackend(sandbox, 'v1', 'old'), share: 'session' } } }))
    const clients = [shared.raw(), shared.raw()]
    for (const client of clients) {
      await initialize(client)
      expect(await says(client, 'mine')).toBe('mine')
    }
    expect(shared.daemons()).toHaveLength(1)
    expect(shared.processes('v1.mjs')).toHaveLength(2)
  })
})
