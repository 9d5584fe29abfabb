import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../src/gateway/contract.ts'
import { catalog, member } from './offers.ts'

const related = 'io.modelcontextprotocol/related-task'
const both = { resources: ['file:///both'], templates: ['t:///{x}'] }
const c = catalog([member('a', both), member('b', both), member('plain', { tools: ['x'] })])
const spelt = 'mcp-proxy://b/file:///both'
const link = (uri: string) => ({ type: 'resource_link', uri, name: 'n', vendor: { uri: 'file:///both' } })
const embedded = (uri: string) => ({ type: 'resource', resource: { uri, text: 'file:///both', x: 1 }, annotations: { y: 2 } })

/** Freezes all the way down: rewriting must copy, never write. */
function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(frozen)
    Object.freeze(value)
  }
  return value
}

describe('results of tools', () => {
  const result = (uri: string) => ({
    content: [
      { type: 'text', text: uri === '' ? '' : 'file:///both' },
      link(uri),
      embedded(uri),
      { type: 'hologram', uri: 'file:///both' },
    ],
    structuredContent: { uri: 'file:///both' },
    vendor: [1],
    _meta: { v: 1 },
  })

  it('spells links and embedded resources, and touches nothing else', () => {
    const sent = frozen(result('file:///both'))
    expect(c.publicResult('b', 'tools/call', sent)).toEqual(result(spelt))
    expect(c.publicResult('a', 'tools/call', sent)).toBe(sent)
  })
  it('does not look at what a backend without resources sends', () => {
    const sent = frozen(result('file:///both'))
    expect(c.publicResult('plain', 'tools/call', sent)).toBe(sent)
  })
  it('looks into results of tools inside results', () => {
    const nested = (uri: string) => ({
      content: [{ type: 'tool_result', toolUseId: '1', content: [link(uri), { type: 'tool_result', content: [embedded(uri)] }] }],
    })
    expect(c.publicResult('b', 'tools/call', frozen(nested('file:///both')))).toEqual(nested(spelt))
  })
  it('survives any shape, and the same object comes back', () => {
    const odd: unknown[] = [
      null,
      5,
      'x',
      [],
      {},
      { type: 'resource_link' },
      { type: 'resource' },
      { type: 'resource', resource: 'x' },
      { type: 'tool_result', content: 'x' },
    ]
    for (const content of [odd, 'text', 5, null, {}, undefined]) {
      const sent = frozen({ content }) as JsonObject
      expect(c.publicResult('b', 'tools/call', sent)).toBe(sent)
    }
    let deep: JsonObject = link('file:///both')
    for (let i = 0; i < 10_000; i++) deep = { type: 'tool_result', content: [deep] }
    expect(c.publicResult('b', 'tools/call', { content: [deep] })['content']).toHaveLength(1)
  })
  it('remembers links that nobody lists', () => {
    const sent = { content: [link('blob:7')] }
    expect(c.publicResult('b', 'tools/call', sent)).toBe(sent)
    expect(c.resource('blob:7')).toEqual({ alias: 'b', own: 'blob:7' })
    expect(c.publicResult('a', 'tools/call', sent)).toEqual({ content: [link('mcp-proxy://a/blob:7')] })
    expect(c.resource('mcp-proxy://a/blob:7')).toEqual({ alias: 'a', own: 'blob:7' })
  })
})

describe('prompts and reads', () => {
  it('spells what messages hold, one block or several', () => {
    const prompt = (uri: string) => ({
      description: 'd',
      messages: [{ role: 'user', content: embedded(uri) }, { role: 'user', content: [link(uri)] }, null, { role: 'x' }],
    })
    expect(c.publicResult('b', 'prompts/get', frozen(prompt('file:///both')))).toEqual(prompt(spelt))
    const sent = frozen(prompt('file:///both'))
    expect(c.publicResult('plain', 'prompts/get', sent)).toBe(sent)
  })
  it('spells contents, those of sub-resources too', () => {
    const read = (...uris: string[]) => ({
      contents: uris.map(uri => ({ uri, text: uri === '' ? '' : 'body', _meta: { ui: {} } })),
    })
    expect(c.publicResult('b', 'resources/read', read('file:///both', 't:///1', 'new:1'))).toEqual(
      read(spelt, 'mcp-proxy://b/t:///1', 'new:1'),
    )
    const sent = frozen(read('file:///both'))
    expect(c.publicResult('a', 'resources/read', sent)).toBe(sent)
    expect(c.publicResult('plain', 'resources/read', sent)).toBe(sent)
  })
  it('names a read as it was asked for', () => {
    const sent = frozen({ contents: [{ uri: 'file:///x' }, { uri: 'file:///y' }] })
    const requested = { uri: 'mcp-proxy://b/file:///x', own: 'file:///x' }
    expect(c.publicResult('b', 'resources/read', sent, undefined, requested)).toEqual({
      contents: [{ uri: requested.uri }, { uri: 'file:///y' }],
    })
    expect(c.publicResult('plain', 'resources/read', sent, undefined, requested)['contents']).toEqual([
      { uri: requested.uri },
      { uri: 'file:///y' },
    ])
    expect(c.publicResult('plain', 'resources/read', sent, undefined, { uri: 'file:///x', own: 'file:///x' })).toBe(sent)
  })
  it('leaves results of other methods alone', () => {
    const sent = frozen({
      content: [link('file:///both')],
      contents: [{ uri: 'file:///both' }],
      taskId: 't',
      task: { taskId: 't', status: 's' },
    })
    for (const method of ['vendor/thing', 'completion/complete', 'skills/list'])
      expect(c.publicResult('b', method, sent)).toBe(sent)
  })
})

describe('tasks', () => {
  const task = (taskId: string) => ({ taskId, status: 'working', ttl: null, createdAt: 'now' })

  it('maps the task a call made, in either design', () => {
    const legacy = c.publicResult('b', 'tools/call', frozen({ task: task('1'), _meta: { [related]: { taskId: '1' } } }))
    expect(legacy).toEqual({ task: task('b.1'), _meta: { [related]: { taskId: 'b.1' } } })
    expect(c.taskIdOf(legacy)).toBe('b.1')
    const flat = c.publicResult('b', 'tools/call', frozen(task('1')), 'task')
    expect(flat).toEqual(task('b.1'))
    expect(c.taskIdOf(flat, 'task')).toBe('b.1')
  })
  it('takes fields of other meaning for what they are', () => {
    for (const sent of [
      { taskId: '1', status: 'x' },
      { task: { taskId: '1' } },
      { task: 'x' },
      { tasks: [task('1')] },
      { result: { taskId: '1' } },
    ]) {
      expect(c.publicResult('b', 'tools/call', frozen(sent))).toBe(sent)
      expect(c.taskIdOf(sent)).toBeUndefined()
    }
    expect(c.taskIdOf({}, 'task')).toBeUndefined()
  })
  it('maps what the methods of tasks answer', () => {
    expect(c.publicResult('b', 'tasks/get', frozen(task('1')))).toEqual(task('b.1'))
    expect(c.publicResult('b', 'tasks/list', frozen({ tasks: [task('1'), null, task('2')], nextCursor: 'x' }))).toEqual({
      tasks: [task('b.1'), null, task('b.2')],
      nextCursor: 'x',
    })
    expect(
      c.publicResult('b', 'tasks/result', frozen({ content: [link('file:///both')], _meta: { [related]: { taskId: '1' } } })),
    ).toEqual({
      content: [link(spelt)],
      _meta: { [related]: { taskId: 'b.1' } },
    })
    const done = (id: string, uri: string) => ({ ...task(id), result: { content: [link(uri)], isError: false } })
    expect(c.publicResult('b', 'tasks/get', frozen(done('1', 'file:///both')))).toEqual(done('b.1', spelt))
    const asking = (id: string, uri: string, asks: JsonObject = {}) => ({
      ...task(id), inputRequests: { q: { method: 'm', params: { messages: [{ content: link(uri) }] } }, ...asks },
    })
    expect(c.publicResult('b', 'tasks/get', frozen(asking('1', 'file:///both', { odd: null })))).toEqual(asking('b.1', spelt, { odd: null }))
    expect(c.publicNotification('b', 'notifications/tasks', frozen(asking('1', 'file:///both')))).toEqual(asking('b.1', spelt))
    expect(c.publicResult('b', 'tasks/get', frozen({ ...task('1'), inputRequests: 1 }))).toEqual({ ...task('b.1'), inputRequests: 1 })
    const sent = frozen({ ok: true })
    expect(c.publicResult('b', 'tasks/cancel', sent)).toBe(sent)
  })
  it('says whose a task is', () => {
    expect(c.task('b.1')).toEqual({ alias: 'b', own: '1' })
    expect(c.task('nonsense')).toBeUndefined()
  })
})

describe('notifications and asks', () => {
  it('spells updates', () => {
    expect(c.publicUpdate('b', frozen({ uri: 'file:///both', title: 'T' }))).toEqual({ uri: spelt, title: 'T' })
    const sent = frozen({ uri: 'file:///both' })
    expect(c.publicUpdate('a', sent)).toBe(sent)
    expect(c.publicUpdate('plain', sent)).toBe(sent)
  })
  it('maps task notifications and relations, nothing else', () => {
    const params = frozen({ taskId: '1', status: 'completed', result: { content: [link('file:///both')] } })
    const shown = { taskId: 'b.1', status: 'completed', result: { content: [link(spelt)] } }
    expect(c.publicNotification('b', 'notifications/tasks/status', params)).toEqual(shown)
    expect(c.publicNotification('b', 'notifications/tasks', params)).toEqual(shown)
    expect(c.publicNotification('b', 'notifications/vendor', params)).toBe(params)
    expect(c.publicNotification('b', 'notifications/vendor', undefined)).toBeUndefined()
    expect(c.publicNotification('b', 'notifications/vendor', { _meta: { [related]: { taskId: '1' } } })).toEqual({
      _meta: { [related]: { taskId: 'b.1' } },
    })
  })
  it('says whose a log line is', () => {
    expect(c.publicLog('b', frozen({ level: 'info', logger: 'db', data: 1 }))).toEqual({ level: 'info', logger: 'b/db', data: 1 })
    expect(c.publicLog('b', frozen({ level: 'info', data: 1 }))).toEqual({ level: 'info', logger: 'b', data: 1 })
  })
  it('spells what a server asks with', () => {
    const ask = (uri: string, id: string) => ({
      method: 'any/ask',
      params: {
        messages: [{ role: 'user', content: [{ type: 'tool_result', content: [link(uri)] }] }],
        _meta: { [related]: { taskId: id } },
      },
    })
    const plain = { method: 'any/other', params: { messages: 'x' } }
    expect(
      c.publicAsks('b', frozen({ one: ask('file:///both', '1'), two: plain, three: { method: 'm', params: undefined } })),
    ).toEqual({
      one: ask(spelt, 'b.1'),
      two: plain,
      three: { method: 'm', params: undefined },
    })
    const asks = frozen({ two: plain })
    expect(c.publicAsks('b', asks)).toBe(asks)
  })
})
