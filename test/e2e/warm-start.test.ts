/** What servers offered the last time answers at once: nothing is started until somebody needs it. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { eventually } from '../fixtures/clients/client.ts'
import { envelope, initialize, startRaw, type RawClient } from '../fixtures/clients/raw.ts'
import { createSandbox, fixture, type Sandbox } from './harness.ts'

const closing: Array<() => Promise<unknown>> = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const sandboxed = (): Sandbox => {
  const sandbox = createSandbox()
  closing.push(() => sandbox.dispose())
  return sandbox
}
const start = (sandbox: Sandbox, config: JsonObject): RawClient => {
  const client = startRaw(sandbox.runTarget(config))
  closing.push(() => client.close())
  return client
}
const plain = (sandbox: Sandbox, alias: string, ...more: string[]): JsonObject => ({
  command: process.execPath, args: [fixture('plain.mjs'), '--name', alias, '--journal', sandbox.journal(alias), ...more],
})
const ups = (sandbox: Sandbox, alias: string): number => sandbox.readJournal(alias).filter(({ event }) => event === 'up').length
const toolsOf = async (client: RawClient, params: JsonObject = {}): Promise<string[]> =>
  ((await client.request('tools/list', params))['result'] as { tools: Array<{ name: string }> }).tools.map(({ name }) => name)
/** Every process below this one, with its command line. */
const descendants = (pid: number): string[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).flatMap(child => [
    readFileSync(`/proc/${child}/cmdline`, 'utf8').replaceAll('\0', ' ').trim(), ...descendants(Number(child)),
  ])
/** Fills the catalogue. */
async function once(sandbox: Sandbox, config: JsonObject): Promise<string[]> {
  const client = startRaw(sandbox.runTarget(config))
  await initialize(client)
  const tools = await toolsOf(client)
  await client.close()
  return tools
}

describe.runIf(process.platform === 'linux')('a warm start with 20 servers', () => {
  const aliases = Array.from({ length: 20 }, (_, index) => `s${index}`)

  it('answers the opening, discovery and lists with no process at all; a call starts exactly one server', async () => {
    const sandbox = sandboxed()
    const config = { mcpServers: Object.fromEntries(aliases.map(alias => [alias, plain(sandbox, alias)])), startWait: '20s' }
    const cold = await once(sandbox, config)
    expect(cold).toHaveLength(80)
    const client = start(sandbox, config)
    const begun = performance.now()
    const opened = await initialize(client)
    expect((opened['result'] as any).capabilities.tools).toBeDefined()
    expect(await toolsOf(client)).toEqual(cold)
    const took = performance.now() - begun
    expect(await client.request('server/discover', { _meta: envelope() })).toMatchObject({ result: { supportedVersions: expect.any(Array) } })
    expect(await toolsOf(client, { _meta: envelope() })).toEqual(cold)
    for (let look = 0; look < 20; look++) {
      expect(descendants(client.pid as number)).toEqual([])
      await sleep(50)
    }
    for (const alias of aliases) expect(ups(sandbox, alias), alias).toBe(1)
    expect(client.log.filter(({ message }) => String(message['method']).endsWith('list_changed'))).toEqual([])

    const answer = await client.request('tools/call', { name: 's7__echo', arguments: { message: 'hello' } })
    expect((answer['result'] as any).content[0].text).toBe('hello')
    const servers = descendants(client.pid as number).filter(line => line.includes('plain.mjs'))
    expect(servers).toHaveLength(1)
    expect(servers[0]).toContain('--name s7 ')
    expect(aliases.filter(alias => ups(sandbox, alias) > 1)).toEqual(['s7'])
    console.log(`opening and list of 80 tools from disk: ${Math.round(took)} ms, process start included`)
  })

  it('`start: eager` starts its server all the same, and nobody else’s', async () => {
    const sandbox = sandboxed()
    const config = { mcpServers: { lazy: plain(sandbox, 'lazy'), eager: { ...plain(sandbox, 'eager'), start: 'eager' } } }
    await once(sandbox, config)
    const client = start(sandbox, config)
    await initialize(client)
    await eventually(() => (ups(sandbox, 'eager') === 2 ? true : undefined), 'the eager one to start')
    expect(ups(sandbox, 'lazy')).toBe(1)
  })

  it('another command, other arguments or another environment is another catalogue; `cache: false` is none', async () => {
    const sandbox = sandboxed()
    const config = (one: JsonObject, settings: JsonObject = {}): JsonObject => ({ mcpServers: { one }, ...settings })
    await once(sandbox, config(plain(sandbox, 'one')))
    await once(sandbox, config(plain(sandbox, 'one')))
    expect(ups(sandbox, 'one')).toBe(1)
    expect(await once(sandbox, config(plain(sandbox, 'one', '--tool', 'more')))).toContain('one__more')
    await once(sandbox, config({ ...plain(sandbox, 'one'), env: { A: 'b' } }))
    await once(sandbox, config(plain(sandbox, 'one'), { catalog: { cache: false } }))
    expect(ups(sandbox, 'one')).toBe(4)
  })

  it('keeps no secret in it', async () => {
    const sandbox = sandboxed()
    await once(sandbox, { mcpServers: { one: { ...plain(sandbox, 'one'), env: { API_TOKEN: 'canary-in-the-catalogue' } } } })
    const dir = join(sandbox.env['MCP_PROXY_HOME'] as string, 'cache/catalogue')
    const files = readdirSync(dir)
    expect(files).toHaveLength(1)
    for (const name of files) expect(readFileSync(join(dir, name), 'utf8') + name).not.toContain('canary')
  })
})

describe.runIf(process.platform === 'linux')('a catalogue that has grown old', () => {
  const aged = { catalog: { maxAge: 1 } }

  it('is served at once, confirmed in the background, and told of only if it really differs', async () => {
    const sandbox = sandboxed()
    const [same, other] = [sandbox.write('same.txt', ''), sandbox.write('other.txt', '')]
    const config = { mcpServers: { same: plain(sandbox, 'same', '--tool', `@${same}`), other: plain(sandbox, 'other', '--tool', `@${other}`) }, ...aged }
    const before = await once(sandbox, config)
    sandbox.write('other.txt', 'later')
    const client = start(sandbox, config)
    await initialize(client)
    expect(await toolsOf(client)).toEqual(before)
    expect(ups(sandbox, 'other')).toBe(1)
    await client.received('notifications/tools/list_changed', 0, 10_000)
    expect(await toolsOf(client)).toEqual([...before, 'other__later'])
    await eventually(() => (ups(sandbox, 'same') === 2 ? true : undefined), 'the other one to be confirmed')
    await eventually(() => (descendants(client.pid as number).some(line => line.includes('plain.mjs')) ? undefined : true), 'both to be stopped again', 8000)
    expect(client.log.filter(({ message }) => String(message['method']).endsWith('list_changed'))).toHaveLength(1)
  })

  it('is kept when it cannot be confirmed', async () => {
    const sandbox = sandboxed()
    const file = sandbox.write('tools.txt', '')
    const config = { mcpServers: { one: plain(sandbox, 'one', '--tool', `@${file}`) }, ...aged }
    const before = await once(sandbox, config)
    sandbox.write('tools.txt', 'broken')
    const client = start(sandbox, config)
    await initialize(client)
    expect(await toolsOf(client)).toEqual(before)
    await eventually(() => (ups(sandbox, 'one') > 1 ? true : undefined), 'the attempt to confirm it', 8000)
    await eventually(() => (client.stderr().includes('broken as asked') ? true : undefined), 'its failure to be told')
    expect(await toolsOf(client)).toEqual(before)
    expect(client.log.filter(({ message }) => String(message['method']).endsWith('list_changed'))).toEqual([])
    sandbox.write('tools.txt', '')
    const answer = await eventually(async () => {
      const tried = await client.request('tools/call', { name: 'one__echo', arguments: { message: 'mended' } })
      return tried['result'] ? tried : undefined
    }, 'it to be mended', 8000)
    expect((answer['result'] as any).content[0].text).toBe('mended')
  })
})
