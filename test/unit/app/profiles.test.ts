/** A gateway as one client can take it: fitted lists, names that lead back, results of a size, and nothing for the others. */
import { describe, expect, it } from 'vitest'
import { createProfiles, limitsFor } from '../../../src/app/profiles.ts'
import type { JsonObject } from '../../../src/gateway/contract.ts'
import { plainCall } from '../../../src/gateway/gateway.ts'
import { fakeHouse, text } from '../cli/fake-house.ts'

const client = (name: string) => ({ id: '1', principal: 'p', info: { name }, capabilities: {}, revision: '2025-11-25', logLevel: undefined })
const long = `read_${'very_'.repeat(9)}long`

function world(handle = async () => text('ok')) {
  const { house, calls } = fakeHouse({ files: { tools: [{ name: long }, { name: 'b' }], handle } })
  const none = {}
  const profiles = createProfiles(() => none)
  const fitted = profiles.fitted(house.gateway)
  const ask = async (name: string, method: string, params: JsonObject = {}, through = fitted) => {
    const outcome = await through.handle(plainCall(client(name), method, params))
    if (outcome.kind !== 'complete') throw new Error('asked')
    return outcome
  }
  const tools = async (name: string, through = fitted) => ((await ask(name, 'tools/list', {}, through)).result['tools'] as JsonObject[]).map(tool => String(tool['name']))
  return { house, calls, profiles, fitted, ask, tools }
}

describe('profiles', () => {
  it('change nothing for clients nobody knows', async () => {
    const { house, ask } = world()
    expect((await ask('somebody', 'tools/list')).raw).toBe((await ask('somebody', 'tools/list', {}, house.gateway)).raw)
  })

  it('fit the list once per client, and lead its names back', async () => {
    const { ask, tools, calls, profiles } = world()
    const [short] = await tools('cursor-vscode') as [string]
    expect(short.length).toBeLessThanOrEqual(56)
    expect(await tools('somebody')).toEqual([`files__${long}`, 'files__b'])
    expect((await ask('cursor-vscode', 'tools/list')).raw).toBe((await ask('cursor-vscode', 'tools/list')).raw)
    await ask('cursor-vscode', 'tools/call', { name: short, arguments: { a: 1 } })
    await ask('cursor-vscode', 'tools/call', { name: 'files__b' })
    await ask('cursor-vscode', 'tools/call', { name: `files__${long}` })
    expect(calls.map(({ params }) => params['name'])).toEqual([long, 'b', long])
    expect(calls[0]!.params['arguments']).toEqual({ a: 1 })
    expect(profiles.status()).toMatchObject([{ client: 'cursor', tools: 2, held: 0, changed: 1, changes: [{ name: `files__${long}`, shown: short }] }])
  })

  it('lead a name back before any list was asked for', async () => {
    const { tools } = world()
    const [short] = await tools('cursor')
    const { ask, calls } = world()
    await ask('cursor', 'tools/call', { name: short })
    expect(calls).toHaveLength(1)
    await expect(ask('cursor', 'tools/call', { name: 'files__nope' })).rejects.toMatchObject({ code: 'UNKNOWN_NAME' })
  })

  it('lead a name back to the tool it was shown for, not to one that its server calls so', async () => {
    const [short] = await world().tools('cursor') as [string]
    const { house, calls } = fakeHouse({ games: { tools: [{ name: short }] }, files: { tools: [{ name: long }], handle: async () => text('ok') } })
    const fitted = createProfiles(() => ({})).fitted(house.gateway)
    await fitted.handle(plainCall(client('cursor'), 'tools/call', { name: short }))
    expect(calls.map(({ params }) => params['name'])).toEqual([long])
  })

  it('believe --client more than what the client calls itself', async () => {
    const { house, profiles, tools } = world()
    expect((await tools('x', profiles.fitted(house.gateway, 'cursor')))[0]).not.toBe(`files__${long}`)
    expect((await tools('cursor', profiles.fitted(house.gateway, 'zed')))[0]).toBe(`files__${long}`)
  })

  it('refuse a result that the client would choke on', async () => {
    const { ask } = world(async () => text('x'.repeat(9 * 1024 * 1024)))
    await expect(ask('claude-code', 'tools/call', { name: 'files__b' })).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' })
    await expect(ask('codex', 'tools/call', { name: 'files__b' })).resolves.toBeDefined()
  })

  it('keep one fitted list and one line of status, however a client spells its name', async () => {
    const { house } = world()
    const profiles = createProfiles(() => ({ 'my agent': { tools: 1 } }))
    const fitted = profiles.fitted(house.gateway)
    const raws = new Set<unknown>()
    for (const name of ['my agent', 'My Agent', ' my agent', '  MY agent ', 'cursor', 'cursor 1', 'Cursor 2.0'])
      for (const { raw } of [(await fitted.handle(plainCall(client(name), 'tools/list', {}))) as { raw?: unknown }]) raws.add(raw)
    expect(raws.size).toBe(2)
    expect(profiles.status().map(({ client }) => client)).toEqual(['my agent', 'cursor'])
  })

  it('follow the config', async () => {
    const { house } = world()
    let overrides: Parameters<typeof limitsFor>[1] = { mine: { tools: 1 } }
    const profiles = createProfiles(() => overrides)
    const fitted = profiles.fitted(house.gateway)
    const count = async (name: string) => {
      const outcome = await fitted.handle(plainCall(client(name), 'tools/list', {}))
      return outcome.kind === 'complete' ? (outcome.result['tools'] as unknown[]).length : undefined
    }
    expect(await count('mine')).toBe(1)
    const { tools } = house.gateway.known
    expect(profiles.reread(tools)).toBe(false)
    overrides = { mine: { tools: 1 }, elsewhere: { tools: 1 } }
    expect(profiles.reread(tools)).toBe(false)
    expect(profiles.status()).toMatchObject([{ client: 'mine' }])
    overrides = { cursor: { tools: 1, nameLength: 0 } }
    expect(profiles.reread(tools)).toBe(true)
    expect(await count('mine')).toBe(2)
    expect(await count('cursor-vscode')).toBe(1)
    expect(profiles.status()).toMatchObject([{ client: 'cursor', held: 1, changed: 0 }])
  })
})

describe('limitsFor', () => {
  it('counts what the client calls us', () => {
    expect(limitsFor('cursor', {})).toMatchObject({ prefixLength: 4 })
    expect(limitsFor('cursor', { cursor: { server: 'gateway' } })).toMatchObject({ prefixLength: 8, tools: 80 })
    expect(limitsFor('nobody', {})).toBeUndefined()
  })
  it('leaves a client alone whose name only begins the one that the config limits', () => {
    const overrides = { 'claude-code-action': { tools: 5 }, 'cursor-vscode': { tools: 7 } }
    expect(limitsFor('claude-code-action', overrides)).toMatchObject({ tools: 5 })
    expect(limitsFor('claude-code', overrides)?.tools).toBeUndefined()
    expect(limitsFor('cursor', overrides)).toMatchObject({ tools: 7 })
  })
})
