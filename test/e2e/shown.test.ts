/** What a name stands for, and that what the config hides is out of reach: a client's view, through the built binary. */
import { renameSync, writeFileSync } from 'node:fs'
import { afterEach, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { eventually } from '../fixtures/clients/client.ts'
import { initialize, startRaw, type RawClient } from '../fixtures/clients/raw.ts'
import { bin, createSandbox, fixture, type Sandbox } from './harness.ts'

const closing: Array<() => Promise<unknown>> = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

interface World {
  readonly sandbox: Sandbox
  /** A server with these wares, and more of its config. */
  server(alias: string, wares: JsonObject, rules?: JsonObject, ...args: string[]): JsonObject
  client(config: JsonObject, ...args: string[]): RawClient
  /** Saves another config under the same name, and waits until it is read. */
  replace(config: JsonObject): Promise<void>
}

function world(): World {
  const sandbox = createSandbox()
  closing.push(() => sandbox.dispose())
  let last: RawClient
  let file: string
  return {
    sandbox,
    server: (alias, wares, rules = {}, ...args) => ({
      command: process.execPath,
      args: [fixture('wares.mjs'), '--name', alias, '--wares', sandbox.write(`${alias}.wares.json`, JSON.stringify(wares)), ...args],
      ...rules,
    }),
    client(config, ...args) {
      file = sandbox.config(config)
      const client = (last = startRaw({ command: process.execPath, args: [bin, 'run', '--config', file, ...args], env: sandbox.env, cwd: sandbox.dir }))
      closing.push(() => client.close())
      return client
    },
    async replace(config) {
      writeFileSync(`${file}.new`, JSON.stringify(config))
      renameSync(`${file}.new`, file)
      await eventually(() => (last.stderr().includes('config read again') ? true : undefined), `the config to be read\n${last.stderr()}`)
    },
  }
}

const named = (...names: string[]): JsonObject[] => names.map(name => ({ name }))
const listOf = async (client: RawClient, list: string): Promise<JsonObject[]> =>
  ((await client.request(`${list}/list`))['result'] as Record<string, JsonObject[]>)[list] as JsonObject[]
const namesOf = async (client: RawClient, list: string): Promise<string[]> => (await listOf(client, list)).map(({ name }) => String(name))
/** What the server heard, or the error. */
const heard = (response: JsonObject): JsonObject => {
  const { result, error } = response as { result?: any; error?: JsonObject }
  const text = result?.content?.[0]?.text ?? result?.messages?.[0]?.content?.text ?? result?.contents?.[0]?.text ?? result?.completion?.values?.[0]
  return text === undefined ? { error } : (JSON.parse(text) as JsonObject)
}
const refused = { error: { code: expect.any(Number) } }

describe('a name that a client knows', () => {
  it('never leads to another server that calls a tool of its own so: the owner has not told yet', async () => {
    const { server, client: open } = world()
    const client = open({
      catalog: { cache: false },
      mcpServers: { bank: server('bank', { tools: named('pay') }, {}, '--delay', '1500'), games: server('games', { tools: named('bank__pay') }) },
    })
    await initialize(client)
    // The other one has told by then.
    await new Promise(resolve => setTimeout(resolve, 700))
    expect(heard(await client.request('tools/call', { name: 'bank__pay', arguments: {} }))).toMatchObject({ server: 'bank', params: { name: 'pay' } })
  })

  const gone: readonly (readonly [string, JsonObject])[] = [
    ['its tool is hidden', { tools: { exclude: ['pay'] } }],
    ['it is switched off', { enabled: false }],
  ]
  it.each(gone)('never leads to another server that calls a tool of its own so: %s', async (_, rules) => {
    const { server, client: open } = world()
    const client = open({ mcpServers: { bank: server('bank', { tools: named('pay') }, rules), games: server('games', { tools: named('bank__pay', 'play') }) } })
    await initialize(client)
    expect(await namesOf(client, 'tools')).toEqual(['games__bank__pay', 'games__play'])
    expect(heard(await client.request('tools/call', { name: 'bank__pay', arguments: {} }))).toMatchObject(refused)
    expect(heard(await client.request('tools/call', { name: 'games__bank__pay', arguments: {} }))).toMatchObject({ server: 'games', params: { name: 'bank__pay' } })
    expect(heard(await client.request('tools/call', { name: 'play', arguments: {} }))).toMatchObject({ server: 'games' })
  })

  it('and that was shortened for it alone never leads to another server', async () => {
    const { server, client: open } = world()
    const long = 'transfer_money_between_two_accounts_of_the_same_owner_now'
    const bank = server('bank', { tools: named(long) })
    const first = open({ mcpServers: { bank } }, '--client', 'cursor')
    await initialize(first)
    const [short] = (await namesOf(first, 'tools')) as [string]
    expect(short).not.toContain(long)
    const client = open({ mcpServers: { bank, games: server('games', { tools: named(short) }) } }, '--client', 'cursor')
    await initialize(client)
    expect(await namesOf(client, 'tools')).toContain(short)
    expect(heard(await client.request('tools/call', { name: short, arguments: {} }))).toMatchObject({ server: 'bank', params: { name: long } })
  })
})

it('two lists that hide tools, in two spellings, are refused and not half taken', async () => {
  const { sandbox, server } = world()
  const one = server('one', { tools: named('rm', 'ls', 'cat') }, { tools: { exclude: ['cat'] }, disabledTools: ['rm'] })
  const { code, stdout } = await sandbox.run(['validate', sandbox.config({ mcpServers: { one } }), '--json'])
  expect(code).toBe(2)
  expect(JSON.parse(stdout).problems).toMatchObject([{ code: 'CONFLICT', path: 'mcpServers.one.disabledTools' }])
  const two = server('one', { tools: named('rm', 'ls') }, { excludeTools: ['ls'], disabledTools: ['rm'] })
  expect(await sandbox.run(['validate', sandbox.config({ mcpServers: { two } })])).toMatchObject({ code: 2 })
})

it('prompts are renamed and described as the config says, and led back', async () => {
  const { server, client: open } = world()
  const prompts = { rename: { summarise: 'sum' }, describe: { summarise: 'In three lines', plan: 'A plan' } }
  const client = open({ mcpServers: { one: server('one', { prompts: [{ name: 'summarise', description: 'old' }, { name: 'plan' }] }, { prompts }) } })
  await initialize(client)
  expect(await listOf(client, 'prompts')).toEqual([{ name: 'one__sum', description: 'In three lines' }, { name: 'one__plan', description: 'A plan' }])
  expect(heard(await client.request('prompts/get', { name: 'one__sum' }))).toMatchObject({ params: { name: 'summarise' } })
  expect(heard(await client.request('prompts/get', { name: 'one__summarise' }))).toMatchObject(refused)
  const ref = { type: 'ref/prompt', name: 'one__sum' }
  expect(heard(await client.request('completion/complete', { ref, argument: { name: 'a', value: 'b' } }))).toMatchObject({ params: { ref: { name: 'summarise' } } })
})

describe('a resource that is hidden', () => {
  const wares = {
    resources: [{ uri: 'file:///data/open.txt', name: 'a' }, { uri: 'file:///data/secret/key', name: 'b' }, { uri: 'db://main/users', name: 'c' }],
    templates: [{ uriTemplate: 'file:///data/{+path}', name: 'd' }, { uriTemplate: 'db://main/{table}', name: 'e' }],
  }
  const read = async (client: RawClient, uri: string): Promise<JsonObject> => heard(await client.request('resources/read', { uri }))

  it('is not read under another spelling of its URI', async () => {
    const { server, client: open } = world()
    const client = open({ mcpServers: { one: server('one', wares, { resources: { exclude: ['file:///data/secret/*'] } }) } })
    await initialize(client)
    for (const uri of [
      'file:///data/secret/key', 'file:///data/./secret/key', 'file:///data/x/../secret/key', 'FILE:///data/secret/key', 'file:/data/secret/key',
      'file:///data/%73ecret/key', 'file:///data/secret%2Fkey', 'file:///data/x/%2e%2e/secret/key', 'file:///data/x%2f..%2fsecret/key',
      'file://localhost/data/secret/key', 'file:///data//secret/key', 'file:///data\\secret\\key',
    ])
      expect(await read(client, uri), uri).toMatchObject(refused)
    for (const uri of ['file:///data/open.txt', 'file:///data/other', 'file:///data/a%20b', 'file:///data/se%63ret.txt'])
      expect(await read(client, uri), uri).toMatchObject({ params: { uri } })
  })

  it('is not reached from what is included', async () => {
    const { server, client: open } = world()
    const client = open({ mcpServers: { one: server('one', wares, { resources: { include: ['file:///data/open*'] } }) } })
    await initialize(client)
    for (const uri of ['file:///data/open/../secret/key', 'file:///data/open%2f..%2fsecret/key', 'file:///data/open/%2e%2e/secret/key'])
      expect(await read(client, uri), uri).toMatchObject(refused)
    for (const uri of ['file:///data/open.txt', 'file:///data/open%20it', 'file:///data/open/./x'])
      expect(await read(client, uri), uri).toMatchObject({ params: { uri } })
  })

  it('as a template is not read, completed or subscribed to through what it makes', async () => {
    const { server, client: open } = world()
    const client = open({ mcpServers: { one: server('one', wares, { resources: { exclude: ['db://main/{*'] } }) } })
    await initialize(client)
    expect(await read(client, 'db://main/users')).toMatchObject({ params: { uri: 'db://main/users' } })
    expect(await read(client, 'db://main/passwords')).toMatchObject(refused)
    const argument = { name: 'table', value: 'p' }
    for (const uri of ['db://main/{table}', 'db://main/passwords'])
      expect(heard(await client.request('completion/complete', { ref: { type: 'ref/resource', uri }, argument })), uri).toMatchObject(refused)
    expect(await client.request('resources/subscribe', { uri: 'db://main/passwords' })).toMatchObject(refused)
  })
})

describe('a config that is read again', () => {
  it('hides at once what a filter hides, from lists, calls, completions and subscriptions', async () => {
    const { server, client: open, replace } = world()
    const wares = { tools: named('touch', 'rm'), prompts: named('ask', 'debug'), resources: [{ uri: 'x://a', name: 'a' }, { uri: 'x://b', name: 'b' }] }
    const client = open({ mcpServers: { one: server('one', wares) } })
    await initialize(client)
    for (const list of ['tools', 'prompts', 'resources']) expect(await namesOf(client, list)).toHaveLength(2)
    for (const uri of ['x://a', 'x://b']) await client.request('resources/subscribe', { uri })
    await replace({
      mcpServers: { one: server('one', wares, { tools: { exclude: ['rm'] }, prompts: { exclude: ['debug'] }, resources: { exclude: ['x://b'] } }) },
    })
    expect(heard(await client.request('tools/call', { name: 'one__rm', arguments: {} }))).toMatchObject(refused)
    expect(heard(await client.request('tools/call', { name: 'rm', arguments: {} }))).toMatchObject(refused)
    expect(heard(await client.request('prompts/get', { name: 'one__debug' }))).toMatchObject(refused)
    expect(heard(await client.request('resources/read', { uri: 'x://b' }))).toMatchObject(refused)
    const ref = { type: 'ref/prompt', name: 'one__debug' }
    expect(heard(await client.request('completion/complete', { ref, argument: { name: 'a', value: 'b' } }))).toMatchObject(refused)
    for (const list of ['tools', 'prompts', 'resources']) await client.received(`notifications/${list}/list_changed`)
    const since = client.log.length
    await client.request('tools/call', { name: 'one__touch', arguments: {} })
    expect(await client.received('notifications/resources/updated', since)).toMatchObject({ params: { uri: 'x://a' } })
    const updates = client.log.slice(since).filter(({ message }) => message['method'] === 'notifications/resources/updated')
    expect(updates.map(({ message }) => (message['params'] as JsonObject)['uri'])).toEqual(['x://a'])
  })

  it('tells a client of other limits for it', async () => {
    const { server, client: open, replace } = world()
    const one = server('one', { tools: named('a', 'b', 'c') })
    const client = open({ mcpServers: { one } }, '--client', 'cursor')
    await initialize(client)
    expect(await namesOf(client, 'tools')).toHaveLength(3)
    await replace({ mcpServers: { one }, clients: { cursor: { tools: 1 } } })
    await client.received('notifications/tools/list_changed')
    expect(await namesOf(client, 'tools')).toHaveLength(1)
  })
})

it.each([['Visual Studio Code', 'Visual Studio Code'], ['vscode', 'Visual Studio Code'], ['VSCode', 'Visual Studio Code'], ['My Agent', 'my agent'], ['Visual Studio Code', 'vscode']])(
  'limits for %j hold for a client that says it is %j', async (key, says) => {
    const { server, client: open } = world()
    const client = open({ mcpServers: { one: server('one', { tools: named('a', 'b', 'c') }) }, clients: { [key]: { tools: 1 } } }, '--client', says)
    await initialize(client)
    expect(await namesOf(client, 'tools')).toHaveLength(1)
  },
)
