/** News of tasks (extension of 2026-07-28): a client names tasks as it was told them, their server as it made them. */
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { envelope, startRaw } from '../fixtures/clients/raw.ts'
import { createSandbox } from './harness.ts'

const extension = 'io.modelcontextprotocol/tasks'
const _meta = envelope({ extensions: { [extension]: {} } })

/** Makes a task for each call; tells of each task of a stream that it names, and of one that it does not. */
const server = `
const out = message => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n')
let made = 0
require('node:readline').createInterface({ input: process.stdin }).on('line', line => {
  const { id, method, params } = JSON.parse(line)
  const result = result => out({ id, result: { resultType: 'complete', ...result } })
  if (method === 'server/discover')
    return result({ supportedVersions: ['2026-07-28'], capabilities: { tools: {}, extensions: { '${extension}': {} } }, ttlMs: 0, cacheScope: 'private' })
  if (method === 'tools/list') return result({ tools: [{ name: 'work', inputSchema: { type: 'object' } }], ttlMs: 0, cacheScope: 'private' })
  if (method === 'tools/call') return result({ resultType: 'task', taskId: 't' + ++made, status: 'working', ttlMs: null })
  if (method !== 'subscriptions/listen') return id !== undefined && out({ id, error: { code: -32601, message: 'no' } })
  const stamp = { _meta: { 'io.modelcontextprotocol/subscriptionId': id } }
  out({ method: 'notifications/subscriptions/acknowledged', params: { ...stamp, notifications: params.notifications } })
  for (const taskId of [...(params.notifications.taskIds ?? []), 'another'])
    out({ method: 'notifications/tasks', params: { ...stamp, taskId, status: 'completed', seenAs: params.notifications.taskIds } })
})`

describe('a stream that names tasks', () => {
  it.each([['one server', ['a']], ['several', ['a', 'b.c']]])('hears of them, of %s, under the ids they have here', async (_, aliases) => {
    const sandbox = createSandbox()
    const entry = { command: process.execPath, args: [sandbox.write('server.cjs', server)] }
    const client = startRaw(sandbox.runTarget({ mcpServers: Object.fromEntries(aliases.map(alias => [alias, entry])) }))
    const ids: string[] = []
    const { tools } = (await client.request('tools/list', { _meta }))['result'] as { tools: { name: string }[] }
    for (const { name } of tools) ids.push(((await client.request('tools/call', { name, arguments: {}, _meta }))['result'] as { taskId: string }).taskId)
    expect(new Set(ids).size).toBe(aliases.length)
    const since = client.log.length
    void client.request('subscriptions/listen', { notifications: { taskIds: ids }, _meta }).catch(() => {})
    const heard = (method: string) => client.log.slice(since).filter(({ message }) => message['method'] === method).map(({ message }) => message['params'] as JsonObject)
    await expect.poll(() => heard('notifications/tasks').length, { timeout: 5000 }).toBe(aliases.length)
    expect(heard('notifications/tasks').map(({ taskId }) => taskId).toSorted()).toEqual(ids.toSorted())
    expect(heard('notifications/tasks').map(({ seenAs }) => seenAs)).toEqual(aliases.map(() => ['t1']))
    const [acknowledged] = heard('notifications/subscriptions/acknowledged')
    expect((acknowledged?.['notifications'] as { taskIds: string[] }).taskIds.toSorted()).toEqual(ids.toSorted())
    await client.close()
    await sandbox.dispose()
  })
})

/** Makes a task that needs input before it goes on: the question shows a resource of its own. */
const asking = `
const out = message => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n')
const shown = [{ type: 'resource_link', uri: 'x://it', name: 'it' }, { type: 'resource', resource: { uri: 'x://it', text: 'it' } }]
const inputRequests = {
  q: { method: 'sampling/createMessage', params: { maxTokens: 9, messages: [{ role: 'user', content: shown }] } },
  form: { method: 'elicitation/create', params: { mode: 'form', message: 'Sure?', requestedSchema: { type: 'object', properties: {} } } },
  page: { method: 'elicitation/create', params: { mode: 'url', message: 'Sign in', url: 'https://server.example/' } },
}
require('node:readline').createInterface({ input: process.stdin }).on('line', line => {
  const { id, method, params } = JSON.parse(line)
  const result = result => out({ id, result: { resultType: 'complete', ...result } })
  const cached = { ttlMs: 0, cacheScope: 'private' }
  if (method === 'server/discover')
    return result({ supportedVersions: ['2026-07-28'], capabilities: { tools: {}, resources: {}, extensions: { '${extension}': {} } }, ...cached })
  if (method === 'tools/list') return result({ tools: [{ name: 'work', inputSchema: { type: 'object' } }, { name: 'ask', inputSchema: { type: 'object' } }], ...cached })
  if (method === 'resources/list') return result({ resources: [{ uri: 'x://it', name: 'it' }], ...cached })
  if (method === 'resources/templates/list') return result({ resourceTemplates: [], ...cached })
  const task = { taskId: 't', status: 'input_required', ttlMs: null }
  if (method === 'tools/call') return params.name === 'ask' ? result({ resultType: 'input_required', inputRequests }) : result({ resultType: 'task', ...task })
  if (method === 'tasks/get') return result({ ...task, inputRequests })
  if (method !== 'subscriptions/listen') return id !== undefined && out({ id, error: { code: -32601, message: 'no' } })
  const stamp = { _meta: { 'io.modelcontextprotocol/subscriptionId': id } }
  out({ method: 'notifications/subscriptions/acknowledged', params: { ...stamp, notifications: params.notifications } })
  for (const taskId of params.notifications.taskIds ?? []) out({ method: 'notifications/tasks', params: { ...stamp, ...task, taskId, inputRequests } })
})`

it('a question that a task asks names its server, and shows resources as the client knows them, wherever it stands', async () => {
  const sandbox = createSandbox()
  const entry = { command: process.execPath, args: [sandbox.write('asking.cjs', asking)] }
  const client = startRaw(sandbox.runTarget({ mcpServers: { a: entry, b: entry } }))
  const _meta = envelope({ sampling: {}, elicitation: { form: {}, url: {} }, extensions: { [extension]: {} } })
  const { resources } = (await client.request('resources/list', { _meta }))['result'] as { resources: { uri: string }[] }
  const known = resources.map(({ uri }) => uri)
  expect(new Set(known).size).toBe(2)
  interface Said { params: { message: string } }
  interface Asking { inputRequests?: { q: { params: { messages: [{ content: [{ uri: string }, { resource: { uri: string } }] }] } }; form: Said; page: Said } }
  const shownIn = (of: unknown): (string | undefined)[] => {
    const { q, form, page } = (of as Asking).inputRequests ?? {}
    const [link, embedded] = q?.params.messages[0].content ?? []
    return [link?.uri, embedded?.resource.uri, form?.params.message, page?.params.message]
  }
  for (const [index, alias] of ['a', 'b'].entries()) {
    const own = [known[index], known[index], `[${alias}] Sure?`, `[${alias}] Sign in`]
    expect(shownIn((await client.request('tools/call', { name: `${alias}__ask`, arguments: {}, _meta }))['result'])).toEqual(own)
    const { taskId } = (await client.request('tools/call', { name: `${alias}__work`, arguments: {}, _meta }))['result'] as { taskId: string }
    expect(shownIn((await client.request('tasks/get', { taskId, _meta }))['result'])).toEqual(own)
    const since = client.log.length
    void client.request('subscriptions/listen', { notifications: { taskIds: [taskId] }, _meta }).catch(() => {})
    expect(shownIn((await client.received('notifications/tasks', since))['params'])).toEqual(own)
  }
  await client.close()
  await sandbox.dispose()
})
