/** The config changes while clients are served: what need not change is not touched, and what cannot be read changes nothing. */
import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { eventually } from '../fixtures/clients/client.ts'
import { envelope, initialize, startRaw, type RawClient } from '../fixtures/clients/raw.ts'
import { bin, createSandbox, fixture, startListening, stdioBackend, type Sandbox, type Started } from './harness.ts'

const closing: Array<() => Promise<unknown>> = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const sandboxed = (): Sandbox => {
  const sandbox = createSandbox()
  closing.push(() => sandbox.dispose())
  return sandbox
}

const plain = (sandbox: Sandbox, alias: string, mark: string, ...more: string[]): JsonObject => ({
  command: process.execPath, args: [fixture('plain.mjs'), '--name', alias, '--mark', mark, '--journal', sandbox.journal(alias), ...more],
})

const config = (servers: JsonObject, settings: JsonObject = {}): string => JSON.stringify({ mcpServers: servers, ...settings }, null, 2)

/** Saves as most editors do: all at once, under the same name. */
function replace(file: string, text: string): void {
  writeFileSync(`${file}.new`, text)
  renameSync(`${file}.new`, file)
}

interface Run {
  readonly sandbox: Sandbox
  readonly client: RawClient
  readonly file: string
  /** Messages of the log, in order. */
  readonly lines: () => string[]
  /** Waits until the log says it this many times. */
  says(words: RegExp | string, times?: number, timeoutMs?: number): Promise<unknown>
}

function run(make: (sandbox: Sandbox) => JsonObject, settings: JsonObject = {}): Run {
  const sandbox = sandboxed()
  const file = sandbox.write('served.json', config(make(sandbox), settings))
  const client = startRaw({ command: process.execPath, args: [bin, 'run', '--config', file], env: sandbox.env, cwd: sandbox.dir })
  closing.push(() => client.close())
  const lines = (): string[] =>
    client.stderr().split('\n').flatMap(line => {
      try {
        return [String((JSON.parse(line) as JsonObject)['msg'])]
      } catch {
        return []
      }
    })
  const says = (words: RegExp | string, times = 1, timeoutMs = 10_000): Promise<unknown> =>
    eventually(() => (lines().filter(line => line.match(words)).length >= times ? true : undefined), `the log to say ${words}\n${client.stderr()}`, timeoutMs)
  return { sandbox, client, file, lines, says }
}

const textOf = (response: JsonObject): string =>
  ((response['result'] as any)?.content?.[0]?.text ?? JSON.stringify(response)) as string
const call = (client: RawClient, name: string, args: JsonObject = {}): Promise<JsonObject> =>
  client.request('tools/call', { name, arguments: args })
const which = async (client: RawClient, alias: string): Promise<{ mark: string; pid: number }> =>
  JSON.parse(textOf(await call(client, `${alias}__which`))) as { mark: string; pid: number }
const toolsOf = async (client: RawClient): Promise<string[]> =>
  ((await client.request('tools/list'))['result'] as { tools: Array<{ name: string }> }).tools.map(({ name }) => name)
const changes = (client: RawClient): string[] =>
  client.log.filter(({ direction }) => direction === 'received').map(({ message }) => String(message['method'])).filter(method => method.endsWith('list_changed'))

describe('a changed config', () => {
  it('adds, changes and removes servers; the one that stays is the same process', async () => {
    const { sandbox, client, file, says } = run(box => ({ stays: plain(box, 'stays', 'a'), other: plain(box, 'other', 'a'), goes: plain(box, 'goes', 'a') }))
    await initialize(client)
    expect(await toolsOf(client)).toContain('goes__echo')
    const before = await which(client, 'stays')
    replace(file, config({ stays: plain(sandbox, 'stays', 'a'), other: plain(sandbox, 'other', 'b'), comes: plain(sandbox, 'comes', 'a') }))
    await says('config read again: added comes; changed other; removed goes')
    expect(await which(client, 'stays')).toEqual(before)
    expect((await which(client, 'other')).mark).toBe('b')
    expect((await which(client, 'comes')).mark).toBe('a')
    const tools = await toolsOf(client)
    expect(tools).toContain('comes__echo')
    expect(tools).not.toContain('goes__echo')
    expect((await call(client, 'goes__echo'))['error']).toMatchObject({ code: -32602 })
    await client.received('notifications/tools/list_changed')
    await eventually(() => (sandbox.survivors().filter(pid => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('plain.mjs')).length === 3 ? true : undefined), 'the old servers to end')
    expect(sandbox.readJournal('stays').filter(({ event }) => event === 'up')).toHaveLength(1)
  })

  it('tells of changed lists only where they really differ', async () => {
    const { sandbox, client, file, says } = run(box => ({ one: plain(box, 'one', 'a') }))
    await initialize(client)
    await toolsOf(client)
    replace(file, config({ one: plain(sandbox, 'one', 'b') }))
    await says('changed one')
    expect((await which(client, 'one')).mark).toBe('b')
    await sleep(300)
    expect(changes(client)).toEqual([])
    replace(file, config({ one: plain(sandbox, 'one', 'b', '--tool', 'extra') }))
    await client.received('notifications/tools/list_changed')
    expect(await toolsOf(client)).toContain('one__extra')
    expect(changes(client)).toEqual(['notifications/tools/list_changed'])
  })

  it('applies rules and names without a new process', async () => {
    const { sandbox, client, file, says } = run(box => ({ one: plain(box, 'one', 'a') }))
    await initialize(client)
    const { pid } = await which(client, 'one')
    replace(file, config({ one: { ...plain(sandbox, 'one', 'a'), tools: { include: ['which'], rename: { which: 'who' } } } }, { names: { separator: '-' } }))
    await says('config read again: no server changed')
    expect(await toolsOf(client)).toEqual(['one-who'])
    expect(JSON.parse(textOf(await call(client, 'one-who'))).pid).toBe(pid)
  })

  it('lets the old server finish what it has begun, while the new one takes what comes', async () => {
    const { sandbox, client, file, says } = run(box => ({ one: plain(box, 'one', 'old') }))
    await initialize(client)
    const old = await which(client, 'one')
    const slow = call(client, 'one__slow', { ms: 2000 })
    await eventually(() => sandbox.readJournal('one').find(({ event }) => event === 'started'), 'the call to start')
    replace(file, config({ one: plain(sandbox, 'one', 'new') }))
    await says('changed one')
    expect((await which(client, 'one')).mark).toBe('new')
    expect(textOf(await slow)).toBe('old')
    await eventually(() => (sandbox.survivors().includes(old.pid) ? undefined : true), 'the old server to end')
  })

  it.each(['2025-11-25', '2026-07-28'])('a call that waits for a person goes on where it began (client of %s)', async revision => {
    const { sandbox, client, file, says } = run(box => ({ one: stdioBackend(box, 'v1', 'one') }))
    const later = revision === '2026-07-28'
    const answer = { action: 'accept', content: { name: 'Ada' } }
    const params = { name: 'one__ask_form', arguments: { message: 'who?' }, ...(later ? { _meta: envelope({ elicitation: {} }) } : {}) }
    const swap = async (): Promise<void> => {
      replace(file, config({ one: { ...stdioBackend(sandbox, 'v1', 'one'), env: { CHANGED: 'yes' } } }))
      await says('changed one')
    }
    if (later) {
      const asked = (await client.request('tools/call', params))['result'] as any
      await swap()
      const inputResponses = Object.fromEntries(Object.keys(asked.inputRequests).map(key => [key, answer]))
      const done = await client.request('tools/call', { ...params, inputResponses, requestState: asked.requestState })
      expect(JSON.parse(textOf(done))).toMatchObject(answer)
      return
    }
    client.onRequest(() => undefined)
    await initialize(client, { elicitation: {} })
    const done = client.request('tools/call', params)
    const ask = await client.received('elicitation/create')
    await swap()
    client.send({ jsonrpc: '2.0', id: ask['id'], result: answer })
    expect(JSON.parse(textOf(await done))).toMatchObject(answer)
  })

  it('moves subscriptions to the new server', async () => {
    const { sandbox, client, file, says } = run(box => ({ one: plain(box, 'one', 'a'), two: { ...plain(box, 'two', 'a'), resources: { include: [] } } }))
    await initialize(client)
    expect(await client.request('resources/subscribe', { uri: 'test://note' })).toMatchObject({ result: {} })
    replace(file, config({ one: plain(sandbox, 'one', 'b'), two: { ...plain(sandbox, 'two', 'a'), resources: { include: [] } } }))
    await says('changed one')
    await eventually(() => (sandbox.readJournal('one').filter(({ event }) => event === 'subscribed').length === 2 ? true : undefined), 'the second subscription')
    await call(client, 'one__touch')
    expect(await client.received('notifications/resources/updated')).toMatchObject({ params: { uri: 'test://note', mark: 'b' } })
  })

  it('says which settings need a restart', async () => {
    const { sandbox, file, says } = run(box => ({ one: plain(box, 'one', 'a') }))
    await says('serving over stdio')
    replace(file, config({ one: plain(sandbox, 'one', 'a') }, { listen: { http: { port: 4000 } }, log: { level: 'warn' } }))
    await says(/needs a restart to take effect: listen\.http, log\.level/)
  })

  it('follows the files a config names, and SIGHUP', async () => {
    const { client, sandbox, file, says } = run(box => {
      box.write('one.env', 'WORD=first')
      return { one: { ...plain(box, 'one', '${WORD}'), envFile: 'one.env', args: [...(plain(box, 'one', 'x')['args'] as string[])] } }
    })
    await initialize(client)
    const before = await which(client, 'one')
    sandbox.write('one.env', 'WORD=second')
    await says('changed one')
    expect((await which(client, 'one')).pid).not.toBe(before.pid)
    process.kill(client.pid as number, 'SIGHUP')
    await says('no server changed')
    expect(statSync(file).size).toBeGreaterThan(0)
    expect(textOf(await call(client, 'one__echo', { message: 'still here' }))).toBe('still here')
  })

  it('on SIGHUP goes on in a new log file, where the old one was moved away', async () => {
    const { client, sandbox, says } = run(box => ({ one: plain(box, 'one', 'a') }), { log: { file: 'proxy.log' } })
    await initialize(client)
    await says('serving over stdio')
    const log = join(sandbox.dir, 'proxy.log')
    renameSync(log, `${log}.1`)
    process.kill(client.pid as number, 'SIGHUP')
    await says('no server changed')
    expect(readFileSync(`${log}.1`, 'utf8')).not.toContain('no server changed')
    expect(readFileSync(log, 'utf8')).toContain('no server changed')
  })

  it('follows the credentials, and hides the new ones as well', async () => {
    const keep = (box: Sandbox, key: string): void => {
      const file = box.write('home/mcp-proxy/credentials.json', '')
      rmSync(file)
      writeFileSync(file, JSON.stringify({ key }), { mode: 0o600 })
    }
    const { client, sandbox, says } = run(box => {
      keep(box, 'canary-of-yesterday')
      return { one: { command: 'sh', args: ['-c', 'echo "my key is $KEY" >&2; exit 1'], env: { KEY: '${cred:key}' }, restart: { holdAfter: 1 } } }
    })
    await initialize(client)
    await says(/my key is/)
    keep(sandbox, 'canary-of-today')
    await says('changed one')
    await says(/my key is/, 2)
    expect(client.stderr()).not.toMatch(/canary/)
  })
})

describe('a config that cannot be used', () => {
  const spoilt: Array<[string, (file: string, text: string) => void, RegExp]> = [
    ['half written', (file, text) => writeFileSync(file, text.slice(0, text.length / 2)), /served\.json:\d+:\d+: /],
    ['not valid', file => writeFileSync(file, '{\n  "mcpServers": {\n    "one": { "command": 7 }\n  }\n}'), /served\.json:3:\d+: /],
    ['empty', file => writeFileSync(file, ''), /served\.json/],
    ['gone', file => rmSync(file), /served\.json/],
  ]
  it.each(spoilt)('%s: the running one stays, the place is told once, and a mended file is taken', async (_what, spoil, why) => {
    const { client, sandbox, file, says, lines } = run(box => ({ one: plain(box, 'one', 'a') }))
    await initialize(client)
    const before = await which(client, 'one')
    const text = readFileSync(file, 'utf8')
    spoil(file, text)
    await says('config not applied, the running one stays')
    expect(lines().find(line => line.startsWith('config not applied'))).toMatch(why)
    process.kill(client.pid as number, 'SIGHUP')
    await sleep(300)
    expect(lines().filter(line => line.startsWith('config not applied'))).toHaveLength(1)
    expect(await which(client, 'one')).toEqual(before)
    replace(file, config({ one: plain(sandbox, 'one', 'a'), two: plain(sandbox, 'two', 'a') }))
    await says('added two')
    expect(await which(client, 'one')).toEqual(before)
  })
})

describe('over HTTP', () => {
  const rpc = async (url: string, method: string, params: JsonObject = {}): Promise<JsonObject> => {
    const name = params['name']
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json', accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2026-07-28', 'mcp-method': method, ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: envelope() } }),
    })
    const body = await response.text()
    return JSON.parse(body.startsWith('{') ? body : (/^data: (.*)$/m.exec(body)?.[1] ?? '{}')) as JsonObject
  }
  const served = async (sandbox: Sandbox, file: string): Promise<Started> => {
    const started = await startListening(process.execPath, [bin, 'serve', '--http', '--port', '0', '--no-auth', '--config', file], { env: { ...sandbox.env }, cwd: sandbox.dir })
    closing.push(() => started.stop())
    return started
  }

  it('status tells what became of the last attempt, and each server has its own door', async () => {
    const sandbox = sandboxed()
    const file = sandbox.write('served.json', config({ one: plain(sandbox, 'one', 'a'), two: plain(sandbox, 'two', 'a') }))
    const { url } = await served(sandbox, file)
    const status = async (): Promise<any> => (await fetch(new URL('/status', url))).json()
    const one = new URL('/servers/one/mcp', url).href
    expect(textOf(await rpc(one, 'tools/call', { name: 'which', arguments: {} }))).toContain('"a"')
    expect((await status()).lastReload).toBeUndefined()
    writeFileSync(file, '{ "mcpServers": ')
    const failed = await eventually(async () => (await status()).lastReload, 'the attempt to be told')
    expect(failed).toMatchObject({ ok: false, message: expect.stringMatching(/served\.json:1:\d+: /), at: expect.stringMatching(/^\d{4}-/) })
    replace(file, config({ one: plain(sandbox, 'one', 'b') }))
    await eventually(async () => ((await status()).lastReload?.ok ? true : undefined), 'the mended file to be taken')
    expect((await status()).backends.map(({ alias }: { alias: string }) => alias)).toEqual(['one'])
    expect(textOf(await rpc(one, 'tools/call', { name: 'which', arguments: {} }))).toContain('"b"')
    expect((await fetch(new URL('/servers/two/mcp', url), { method: 'POST' })).status).toBeGreaterThanOrEqual(400)
    expect((await fetch(new URL('/readyz', url))).status).toBe(200)
  })
})

describe('under load', () => {
  it('100 reloads fail no call on servers that do not change', async () => {
    const reloads = Number(process.env['MCP_PROXY_RELOADS'] ?? 100)
    const { client, sandbox, file, says, lines } = run(box => ({
      one: plain(box, 'one', 'same'), two: stdioBackend(box, 'v2-modern', 'two'), moving: plain(box, 'moving', '0'),
    }))
    await initialize(client)
    const steady = { one: plain(sandbox, 'one', 'same'), two: stdioBackend(sandbox, 'v2-modern', 'two') }
    await toolsOf(client)
    const { pid } = await which(client, 'one')
    await call(client, 'two__echo', { message: 'up' })
    const open = (): number => readdirSync(`/proc/${client.pid}/fd`).length
    const openBefore = process.platform === 'linux' ? open() : 0
    let stop = false
    const counts = { sent: 0, right: 0, wrong: [] as string[] }
    const caller = async (lane: number): Promise<void> => {
      while (!stop) {
        const message = `${lane}/${counts.sent++}`
        const answer = textOf(await call(client, lane % 2 === 0 ? 'one__echo' : 'two__echo', { message }))
        if (answer === message) counts.right++
        else counts.wrong.push(answer)
        await sleep(2)
      }
    }
    const callers = [0, 1, 2, 3].map(caller)
    for (let round = 1; round <= reloads; round++) {
      const servers: JsonObject = { ...steady, moving: plain(sandbox, 'moving', String(Math.ceil(round / 2))) }
      if (round % 3 === 0) servers['guest'] = plain(sandbox, 'guest', String(round))
      if (round % 10 === 0) {
        const refused = lines().filter(line => line.startsWith('config not applied')).length
        writeFileSync(file, `{ "mcpServers": { "one": ${round} ]`)
        await says('config not applied', refused + 1)
      }
      const before = lines().filter(line => line.startsWith('config read again')).length
      replace(file, config(servers))
      await says('config read again', before + 1, 20_000)
    }
    stop = true
    await Promise.all(callers)
    expect(counts.wrong).toEqual([])
    expect(counts.right).toBe(counts.sent)
    expect(counts.sent).toBeGreaterThan(reloads)
    expect((await which(client, 'one')).pid).toBe(pid)
    expect(sandbox.readJournal('one').filter(({ event }) => event === 'up')).toHaveLength(1)
    expect((await which(client, 'moving')).mark).toBe(String(Math.ceil(reloads / 2)))
    if (process.platform === 'linux')
      await eventually(() => (open() <= openBefore + 4 ? true : undefined), `files to be closed again: ${open()} after ${openBefore}`)
    console.log(`${reloads} reloads, ${counts.sent} calls, 0 failed`)
  }, 300_000)
})
