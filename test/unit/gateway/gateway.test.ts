/** Where a call goes, under which name it arrives, and what of the answer the client sees. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Call, JsonObject, Outcome } from '../../../src/gateway/contract.ts'
import { McpError } from '../../../src/gateway/errors.ts'
import { plainCall, type Gateway } from '../../../src/gateway/gateway.ts'
import { silent, type Log } from '../../../src/gateway/log.ts'
import { FakeMember, gatewayOf, seated, seating } from './fake-member.ts'
import { callOf, client, refusalOf, wireError } from './fake-server.ts'
import { offer, options } from './offers.ts'

const ask = (gateway: Gateway, method: string, params: JsonObject = {}, more: Partial<Call> = {}): Promise<Outcome> =>
  gateway.handle(callOf(method, { params, ...more }))
const resultOf = async (outcome: Promise<Outcome>): Promise<JsonObject> => {
  const settled = await outcome
  if (settled.kind !== 'complete') throw new Error('it asks')
  return settled.result
}
const codeOf = async (promise: Promise<unknown>): Promise<string> => (await refusalOf(promise)).code

/** Two servers that share nothing but a shape. */
function pair() {
  const a = new FakeMember('a', { tools: ['t', 'only'], prompts: ['p'], resources: ['file:///a'], templates: ['file:///a/{x}'] })
  const b = new FakeMember('b', { tools: ['t'], prompts: ['p'], resources: ['note://b'], capabilities: { resources: {} } })
  return { a, b, gateway: gatewayOf([a, b]) }
}

describe('lists', () => {
  it.each([
    ['tools/list', 'tools', ['a__t', 'a__only', 'b__t']],
    ['prompts/list', 'prompts', ['a__p', 'b__p']],
    ['resources/list', 'resources', ['file:///a', 'note://b']],
    ['resources/templates/list', 'resourceTemplates', ['file:///a/{x}']],
  ])('%s is the lists of all in one page', async (method, field, names) => {
    const items = (await resultOf(ask(pair().gateway, method)))[field] as JsonObject[]
    expect(items.map(item => item['name'] ?? item['uri'] ?? item['uriTemplate'])).toEqual(names)
  })

  it('has no second page', async () => {
    expect(await codeOf(ask(pair().gateway, 'tools/list', { cursor: 'x' }))).toBe('INVALID_PARAMS')
  })

  it('is shorter when a server is down, and lasts as short as the shortest', async () => {
    const [up, down] = [new FakeMember('up', { tools: ['t'], freshness: { ttlMs: 50, scope: 'private' } }), new FakeMember('down')]
    down.state = 'held'
    const gateway = gatewayOf([up, down])
    const listed = await ask(gateway, 'tools/list')
    expect(listed).toMatchObject({ kind: 'complete', result: { tools: [{ name: 'up__t' }] } })
    expect(listed).not.toHaveProperty('freshness.ttlMs', 50)
    expect(await ask(gatewayOf([up]), 'tools/list')).toMatchObject({ freshness: { ttlMs: 50, scope: 'private' } })
  })
})

describe('calls by name', () => {
  it.each([['tools/call', 'b__t', 't'], ['prompts/get', 'b__p', 'p']])('%s reaches the owner under its own name', async (method, name, own) => {
    const { a, b, gateway } = pair()
    expect(await resultOf(ask(gateway, method, { name, arguments: { x: 1 } }))).toEqual({ by: 'b', params: { name: own, arguments: { x: 1 } } })
    expect(a.calls).toEqual([])
    expect(b.calls).toHaveLength(1)
  })

  it('a call that needs no change arrives as the very same call', async () => {
    const one = new FakeMember('one', { tools: ['t'] })
    const gateway = gatewayOf([one], { names: { ...options, prefix: 'never' } })
    const call = callOf('tools/call', { params: { name: 't' } })
    await gateway.handle(call)
    expect(one.calls[0]).toBe(call)
  })

  it('a bare name that only one has is that one’s', async () => {
    expect(await resultOf(ask(pair().gateway, 'tools/call', { name: 'only' }))).toMatchObject({ by: 'a' })
  })

  it.each([['tools/call', 'UNKNOWN_NAME'], ['prompts/get', 'UNKNOWN_NAME']])('%s of nobody’s name', async (method, code) => {
    expect(await codeOf(ask(pair().gateway, method, { name: 'nobody__t' }))).toBe(code)
    expect(await codeOf(ask(pair().gateway, method, { name: 7 }))).toBe('INVALID_PARAMS')
  })

  it('waits for a server that is still starting, and finds the name then', async () => {
    const late = new FakeMember('late')
    late.brings = () => new Promise(resolve => setTimeout(() => resolve(offer({ tools: ['t'] })), 20))
    expect(await resultOf(ask(gatewayOf([late, new FakeMember('b', {})]), 'tools/call', { name: 'late__t' }))).toMatchObject({ by: 'late' })
  })

  it('says which server is missing and why, where the name tells', async () => {
    const down = new FakeMember('down')
    Object.assign(down, { state: 'held', lastFailure: { stage: 'start', message: 'no licence', at: '' } })
    const error = await refusalOf(ask(gatewayOf([down, new FakeMember('b', {})]), 'tools/call', { name: 'down__t' }))
    expect(error).toMatchObject({ code: 'BACKEND_UNAVAILABLE', message: expect.stringContaining('down is held'), details: { backend: 'down', hint: 'no licence' } })
  })
})

describe('calls by URI', () => {
  it('reaches whoever lists it', async () => {
    expect(await resultOf(ask(pair().gateway, 'resources/read', { uri: 'note://b' }))).toMatchObject({ by: 'b' })
    expect(await resultOf(ask(pair().gateway, 'resources/read', { uri: 'file:///a/x' }))).toMatchObject({ by: 'a' })
  })

  it('a URI nobody lists is tried at those who serve its scheme, in order', async () => {
    const wares = { resources: ['note://1'], capabilities: { resources: {} } }
    const [first, second] = [new FakeMember('first', wares), new FakeMember('second', { ...wares, resources: ['note://2'] })]
    first.answer = () => Promise.reject(wireError(-32002, 'not mine'))
    const gateway = gatewayOf([first, second])
    expect(await resultOf(ask(gateway, 'resources/read', { uri: 'note://9' }))).toMatchObject({ by: 'second' })
    second.answer = () => Promise.reject(wireError(-32002, 'nor mine'))
    expect(await refusalOf(ask(gateway, 'resources/read', { uri: 'note://9' }))).toMatchObject({ code: 'BACKEND_ERROR', message: 'not mine' })
    first.answer = () => Promise.reject(new McpError('BACKEND_DIED', 'gone'))
    expect(await codeOf(ask(gateway, 'resources/read', { uri: 'note://9' }))).toBe('BACKEND_DIED')
  })

  it('is unknown when nobody could have it', async () => {
    const { a, b, gateway } = pair()
    expect(await codeOf(ask(gateway, 'resources/read', { uri: 'weird://x' }))).toBe('UNKNOWN_NAME')
    expect([...a.calls, ...b.calls]).toEqual([])
  })
})

describe('completions', () => {
  it('reach the owner of the prompt or template they refer to, under its own name', async () => {
    const { gateway } = pair()
    const argument = { name: 'x', value: '' }
    expect(await resultOf(ask(gateway, 'completion/complete', { ref: { type: 'ref/prompt', name: 'b__p' }, argument })))
      .toEqual({ by: 'b', params: { ref: { type: 'ref/prompt', name: 'p' }, argument } })
    expect(await resultOf(ask(gateway, 'completion/complete', { ref: { type: 'ref/resource', uri: 'file:///a/{x}' }, argument }))).toMatchObject({ by: 'a' })
    expect(await codeOf(ask(gateway, 'completion/complete', { ref: { type: 'ref/prompt', name: 'none' } }))).toBe('UNKNOWN_NAME')
    expect(await codeOf(ask(gateway, 'completion/complete', {}))).toBe('INVALID_PARAMS')
  })
})

describe('tasks', () => {
  const made = (id: string) => (): Outcome => ({ kind: 'complete', variant: 'task', result: { taskId: id, status: 'working' } })

  it.each(['tasks/get', 'tasks/result', 'tasks/update', 'tasks/cancel'])('%s goes to the maker under its own id, and only for whoever made it', async method => {
    const { a, gateway } = pair()
    a.answer = made('t1')
    const task = await resultOf(ask(gateway, 'tools/call', { name: 'a__t' }))
    expect(task['taskId']).toBe('a.t1')
    expect(await codeOf(ask(gateway, method, { taskId: 'a.t1' }, { client: client('c2', 'mallory') }))).toBe('UNKNOWN_NAME')
    expect(a.calls).toHaveLength(1)
    await ask(gateway, method, { taskId: 'a.t1' }, { client: client('c3') })
    expect(a.calls[1]).toMatchObject({ method, params: { taskId: 't1' } })
    expect(await codeOf(ask(gateway, method, { taskId: 'z.t1' }))).toBe('UNKNOWN_NAME')
    expect(await codeOf(ask(gateway, method, { taskId: 5 }))).toBe('INVALID_PARAMS')
  })

  it('a result about a task says whose it is, whatever the server left out', async () => {
    const { a, gateway } = pair()
    a.answer = made('t1')
    expect(await ask(gateway, 'tools/call', { name: 'a__t' })).toMatchObject({ from: 'a' })
    a.answer = () => ({ kind: 'complete', result: { inputRequests: {} } })
    expect(await ask(gateway, 'tasks/get', { taskId: 'a.t1' })).toEqual({ kind: 'complete', result: { inputRequests: {} }, from: 'a' })
    a.answer = () => ({ kind: 'complete', variant: 'task', result: { inputRequests: {} } })
    expect(await ask(gateway, 'tools/call', { name: 'a__t' })).toMatchObject({ from: 'a' })
  })

  it('tasks/list asks all who have tasks, page by page, without those of others; one that fails is left out', async () => {
    const capable = { tools: ['t'], capabilities: { tools: {}, tasks: {} } }
    const [a, b, c] = [new FakeMember('a', capable), new FakeMember('b', capable), new FakeMember('c', { tools: ['t'] })]
    const gateway = gatewayOf([a, b, c])
    a.answer = made('theirs')
    await ask(gateway, 'tools/call', { name: 'a__t' }, { client: client('c2', 'other') })
    a.answer = ({ params }) => ({
      kind: 'complete',
      result: params['cursor'] === 'two' ? { tasks: [{ taskId: 'second' }] } : { tasks: [{ taskId: 'theirs' }, { taskId: 'first' }], nextCursor: 'two' },
    })
    b.answer = () => Promise.reject(new McpError('BACKEND_DIED', 'gone'))
    const listed = await resultOf(ask(gateway, 'tasks/list'))
    expect(listed).toEqual({ tasks: [{ taskId: 'a.first' }, { taskId: 'a.second' }] })
    expect(c.calls).toEqual([])
  })

  it('tasks/list of a server whose pages have no end comes to one', async () => {
    const a = new FakeMember('a', { capabilities: { tasks: {} } })
    a.answer = () => ({ kind: 'complete', result: { tasks: [], nextCursor: 'more' } })
    expect(await resultOf(ask(gatewayOf([a]), 'tasks/list'))).toEqual({ tasks: [] })
    expect(a.calls.length).toBeLessThanOrEqual(64)
  })
})

describe('methods we do not know', () => {
  it('go to the only server', async () => {
    const one = new FakeMember('one', {})
    expect(await resultOf(ask(gatewayOf([one]), 'com.example/do', { x: 1 }))).toEqual({ by: 'one', params: { x: 1 } })
  })

  it('go to the one that claims them, and to nobody when none or several do', async () => {
    const claiming = { capabilities: { extensions: { 'com.example/thing': {} } } }
    const [a, b] = [new FakeMember('a', {}), new FakeMember('b', claiming)]
    expect(await resultOf(ask(gatewayOf([a, b]), 'com.example/thing/do'))).toMatchObject({ by: 'b' })
    const nobody = await refusalOf(ask(gatewayOf([a, b]), 'other/do'))
    expect(nobody).toMatchObject({ code: 'METHOD_NOT_FOUND', message: expect.stringContaining('no backend claims it') })
    const both = await refusalOf(ask(gatewayOf([new FakeMember('a', claiming), b]), 'com.example/thing/do'))
    expect(both).toMatchObject({ code: 'METHOD_NOT_FOUND', message: expect.stringContaining('a and b') })
  })

  it('notifications of clients go to all', () => {
    const { a, b, gateway } = pair()
    gateway.notify('custom/note', {}, client())
    expect([a.notified, b.notified]).toEqual([['custom/note'], ['custom/note']])
  })
})

describe('calls that ask', () => {
  const asking = (state?: string) => (): Outcome => ({
    kind: 'inputRequired', requests: { q: { method: 'ask', params: {} } }, ...(state === undefined ? {} : { requestState: state }),
  })

  it('name who asks, and come back with the state as the server knows it', async () => {
    const { a, gateway } = pair()
    a.answer = asking('s.1')
    const asked = await ask(gateway, 'tools/call', { name: 'a__t' })
    if (asked.kind !== 'inputRequired') throw new Error('it does not ask')
    expect(asked).toMatchObject({ from: 'a', requests: { q: { method: 'ask' } } })
    a.answer = () => ({ kind: 'complete', result: {} })
    await ask(gateway, 'tools/call', { name: 'a__t' }, { requestState: asked.requestState, continues: asked.from, inputResponses: { q: {} } })
    expect(a.calls[1]).toMatchObject({ requestState: 's.1', inputResponses: { q: {} } })
  })

  it('a state of another server, or of nobody, is refused before anybody hears of it', async () => {
    const { a, b, gateway } = pair()
    a.answer = asking('s')
    const asked = await ask(gateway, 'tools/call', { name: 'a__t' })
    if (asked.kind !== 'inputRequired') throw new Error('it does not ask')
    expect(await codeOf(ask(gateway, 'tools/call', { name: 'b__t' }, { requestState: asked.requestState, continues: 'a' }))).toBe('STATE_INVALID')
    expect(await codeOf(ask(gateway, 'resources/read', { uri: 'note://b' }, { continues: 'a' }))).toBe('STATE_INVALID')
    for (const requestState of ['', 's', '.s', 'x.s']) expect(await codeOf(ask(gateway, 'tools/call', { name: 'a__t' }, { requestState }))).toBe('STATE_INVALID')
    expect(b.calls).toEqual([])
    expect(a.calls).toHaveLength(1)
  })

  it('without a state there is none to come back with', async () => {
    const { a, gateway } = pair()
    a.answer = asking()
    expect(await ask(gateway, 'tools/call', { name: 'a__t' })).not.toHaveProperty('requestState')
  })

  it('a custom method that asked goes back to who asked, whoever claims it by now', async () => {
    const claiming = { capabilities: { thing: {} } }
    const [a, b] = [new FakeMember('a', claiming), new FakeMember('b', claiming)]
    expect(await resultOf(ask(gatewayOf([a, b]), 'thing/do', {}, { continues: 'b' }))).toMatchObject({ by: 'b' })
  })
})

describe('what it says of itself', () => {
  it('joins what is known, names who is missing, and does not wait long', async () => {
    const a = new FakeMember('a', { capabilities: { tools: {}, prompts: {} } })
    const never = new FakeMember('never')
    never.brings = () => new Promise(() => {})
    never.state = 'starting'
    const off = new FakeMember('off')
    off.state = 'disabled'
    const description = await gatewayOf([a, never, off], { describeWaitMs: 10 }).describe()
    expect(description.info).toEqual({ name: 'us', version: '1' })
    expect(description.capabilities).toMatchObject({ tools: { listChanged: true }, prompts: { listChanged: true } })
    expect(description.instructions).toContain('never (starting)')
    expect(description.instructions).not.toContain('off')
  })
})

it('log lines of a call say whose they are, where there are several', async () => {
  const { a, gateway } = pair()
  const seen: JsonObject[] = []
  a.answer = call => {
    call.log?.({ level: 'info', data: 'x' })
    return { kind: 'complete', result: {} }
  }
  await ask(gateway, 'tools/call', { name: 'a__t' }, { log: params => void seen.push(params) })
  expect(seen).toEqual([{ level: 'info', logger: 'a', data: 'x' }])
})

it('middleware sees every call, the first outermost', async () => {
  const order: string[] = []
  const layer = (name: string) => (next: (call: Call) => Promise<Outcome>) => (call: Call) => {
    order.push(name)
    return next(call)
  }
  const gateway = gatewayOf([new FakeMember('a', {})], { middleware: [layer('outer'), layer('inner')] })
  await gateway.handle(plainCall(client(), 'tools/list', {}))
  expect(order).toEqual(['outer', 'inner'])
})

it('closing it closes everybody', async () => {
  const { a, b, gateway } = pair()
  await gateway.close()
  expect([a.closed, b.closed, a.listened]).toEqual([true, true, 0])
})

describe('members that are replaced', () => {
  const asking: FakeMember['answer'] = () => ({ kind: 'inputRequired', requests: {}, requestState: 'mine' })

  it('new calls meet the new one, calls on their way end with the old one', async () => {
    const [old, fresh] = [new FakeMember('a', { tools: ['t'] }), new FakeMember('a', { tools: ['t'] })]
    const gateway = gatewayOf([old])
    let answer!: (outcome: Outcome) => void
    old.answer = () => new Promise(resolve => (answer = resolve))
    const going = resultOf(ask(gateway, 'tools/call', { name: 'a__t' }))
    gateway.replace(seating([fresh]))
    expect(await resultOf(ask(gateway, 'tools/call', { name: 'a__t' }))).toMatchObject({ by: 'a' })
    expect(fresh.calls).toHaveLength(1)
    answer({ kind: 'complete', result: { late: true } })
    expect(await going).toEqual({ late: true })
    expect(gateway.members).toEqual([fresh])
    expect(old.closed).toBe(false)
  })

  it('what the old one asked is answered by it, until it is released', async () => {
    const [old, fresh] = [new FakeMember('a', { tools: ['t'] }), new FakeMember('a', { tools: ['t'] })]
    const gateway = gatewayOf([old])
    old.answer = asking
    const asked = await ask(gateway, 'tools/call', { name: 'a__t' })
    const again = await ask(gateway, 'tools/call', { name: 'a__t' })
    if (asked.kind !== 'inputRequired' || again.kind !== 'inputRequired') throw new Error('it does not ask')
    expect(gateway.awaits(old)).toBe(false)
    gateway.replace(seating([fresh]))
    expect(gateway.awaits(old)).toBe(true)
    old.answer = () => ({ kind: 'complete', result: { by: 'old' } })
    const back = (from: typeof asked) => resultOf(ask(gateway, 'tools/call', { name: 'a__t' }, { requestState: from.requestState, continues: 'a' }))
    expect(await back(asked)).toEqual({ by: 'old' })
    expect(gateway.awaits(old)).toBe(true)
    expect(await back(again)).toEqual({ by: 'old' })
    expect(gateway.awaits(old)).toBe(false)
    gateway.release(old)
    expect(await back(asked)).toMatchObject({ by: 'a' })
    expect(fresh.calls).toHaveLength(1)
  })

  it('tasks of the old one are looked up there as long as it is here', async () => {
    const [old, fresh] = [new FakeMember('a', { tools: ['t'] }), new FakeMember('a', { tools: ['t'] })]
    const gateway = gatewayOf([old])
    old.answer = () => ({ kind: 'complete', variant: 'task', result: { taskId: '1', status: 'working' } })
    await ask(gateway, 'tools/call', { name: 'a__t' })
    gateway.replace(seating([fresh]))
    await ask(gateway, 'tasks/get', { taskId: 'a.1' })
    expect(old.calls).toHaveLength(2)
    gateway.release(old)
    await ask(gateway, 'tasks/get', { taskId: 'a.1' })
    expect(fresh.calls).toHaveLength(1)
    // Whose it is outlives the server that made it.
    expect(await codeOf(ask(gateway, 'tasks/get', { taskId: 'a.1' }, { client: client('c', 'mallory') }))).toBe('UNKNOWN_NAME')
  })

  it('one that is gone is unknown; a link it handed out does not become another’s', async () => {
    const { a, b, gateway } = pair()
    gateway.replace(seating([b]))
    expect(await codeOf(ask(gateway, 'tools/call', { name: 'a__t' }))).toBe('UNKNOWN_NAME')
    expect(await resultOf(ask(gateway, 'tools/call', { name: 'b__t' }))).toMatchObject({ by: 'b' })
    expect(a.calls).toEqual([])
    expect(await codeOf(ask(gateway, 'tools/call', { name: 'b__t' }, { requestState: '1.x', continues: 'a' }))).toBe('STATE_INVALID')
  })

  it('a name found just before the change is refused, not lost', async () => {
    const [a, slow] = [new FakeMember('a', { tools: ['t'] }), new FakeMember('slow')]
    slow.brings = () => new Promise(() => {})
    const gateway = gatewayOf([a, slow], { startWaitMs: 20 })
    const call = ask(gateway, 'tools/call', { name: 'slow__t' })
    gateway.replace(seating([a]))
    expect(await codeOf(call)).toBe('UNKNOWN_NAME')
  })

  it('new names and rules count from the next call on', async () => {
    const a = new FakeMember('a', { tools: ['t', 'u'] })
    const gateway = gatewayOf([a])
    gateway.replace({ members: [{ alias: 'a', member: a, rules: { tools: { include: ['t'], exclude: [], rename: { t: 'x' }, describe: {} } } }], names: { ...options, separator: '-' }, startWaitMs: 10 })
    expect(await resultOf(ask(gateway, 'tools/list'))).toMatchObject({ tools: [{ name: 'a-x' }] })
    expect(await resultOf(ask(gateway, 'tools/call', { name: 'a-x' }))).toMatchObject({ params: { name: 't' } })
    expect(await codeOf(ask(gateway, 'tools/call', { name: 'a__u' }))).toBe('UNKNOWN_NAME')
  })
})

describe('problems of the catalog', () => {
  beforeEach(() => vi.useFakeTimers())
  afterEach(() => vi.useRealTimers())

  it('are told once, and again after they were gone', async () => {
    const warned: string[] = []
    const log: Log = { ...silent, warn: (_, text) => void warned.push(text) }
    const clash = [new FakeMember('a', { tools: ['t'] }), new FakeMember('b', { tools: ['t'] })]
    const gateway = gatewayOf(clash, { log, names: { ...options, prefix: 'never' } })
    const never = { members: seated(clash), names: { ...options, prefix: 'never' as const }, startWaitMs: 10 }
    await gateway.catalog()
    gateway.replace(never)
    await gateway.catalog()
    expect(warned).toHaveLength(1)
    gateway.replace({ ...never, members: seated(clash.slice(1)) })
    await gateway.catalog()
    gateway.replace(never)
    await gateway.catalog()
    expect(warned).toHaveLength(2)
  })
})
