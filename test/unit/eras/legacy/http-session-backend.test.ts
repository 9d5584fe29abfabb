/** A legacy server over real HTTP that forgets its session in the middle of things. */
import { afterEach, describe, expect, it } from 'vitest'
import { connect } from '../../../../src/eras/era.ts'
import { never } from '../../../../src/gateway/cancellation.ts'
import type { Change, ClientProfile, Connection, JsonObject } from '../../../../src/gateway/contract.ts'
import { silent } from '../../../../src/gateway/log.ts'
import { httpChannel } from '../../../../src/transports/http-client.ts'
import { HttpPools } from '../../../../src/transports/http-pools.ts'
import { event, events, json, remoteServer, result, until, type Asked, type RemoteServer } from '../../transports/remote-server.ts'

const client: ClientProfile = { id: 'c', principal: 'local', info: undefined, capabilities: { elicitation: {}, sampling: {} }, revision: '2025-11-25', logLevel: undefined }
const field = 'mcp-session-id'

let server: RemoteServer
let connection: Connection | undefined
afterEach(async () => {
  await connection?.close()
  await server.close()
})

/** Sessions are named s1, s2, … ; calls of tools are the test's. */
async function open(call: (asked: Asked, session: string) => void, capabilities: JsonObject = { tools: {}, resources: { subscribe: true }, logging: {} }) {
  const state = { session: undefined as string | undefined, opened: 0, capabilities, said: [] as string[] }
  server = await remoteServer(asked => {
    const { message, method, request, response } = asked
    if (method === 'GET') return void response.writeHead(405).end()
    if (method === 'DELETE') return void response.writeHead(200).end()
    state.said.push(`${message?.method ?? 'answer'} ${request.headers[field] ?? '-'}`)
    if (message?.method === 'server/discover') return json(asked, 400, { jsonrpc: '2.0', id: null, error: { code: -32000, message: 'no session' } })
    if (message?.method === 'initialize') {
      state.session = `s${++state.opened}`
      return result(asked, { protocolVersion: '2025-06-18', capabilities: state.capabilities, serverInfo: { name: 's', version: '1' } }, { [field]: state.session })
    }
    if (request.headers[field] !== state.session) return void response.writeHead(404).end()
    if (message?.id === undefined || message.method === undefined) return void response.writeHead(202).end()
    if (message.method === 'tools/call') return call(asked, state.session as string)
    result(asked)
  })
  const pools = new HttpPools({})
  connection = await connect({
    name: 'one', log: silent, self: { name: 'proxy', version: '1' }, client,
    dial: async () => httpChannel({ url: server.url, type: undefined, headers: {}, caFile: undefined }, { pools, connectMs: 1000, messageBytes: 1e6 }),
    timeouts: { probe: 500, start: 3000, call: 1000 }, asks: { rounds: 4, waitMs: 5000, parked: 8 },
  })
  const say = (name: string, more: object = {}) => (connection as Connection).handle({ method: 'tools/call', params: { name }, client, cancellation: never, ...more })
  return { state, say, connection }
}

describe('a session that is gone', () => {
  it('is replaced in silence, with subscriptions and log level, and watchers are told that they may have missed something', async () => {
    const { state, say, connection } = await open(asked => result(asked, { content: [] }))
    const changes: Change[] = []
    const interest = { lists: ['tools' as const], resources: ['test://a'], logLevel: 'info' as const, roots: undefined }
    const watch = connection.watch({ client, interest, change: change => void changes.push(change) })
    await watch.granted
    state.session = 'gone'
    state.said.length = 0
    expect(await say('x')).toMatchObject({ kind: 'complete' })
    await until(() => (state.said.includes('resources/subscribe s2') ? true : undefined), 'the subscription')
    expect(state.said.slice(0, 4)).toEqual(['tools/call s1', 'initialize -', 'notifications/initialized s2', expect.stringMatching(/ s2$/)])
    expect(state.said).toContain('logging/setLevel s2')
    expect(changes).toEqual([{ kind: 'list', list: 'tools' }, { kind: 'resource', params: { uri: 'test://a' } }])
  })

  it('takes its questions with it: an answer to one never reaches the next session', async () => {
    const { state, say } = await open((asked, session) => {
      if (session === 's1' && (asked.message?.params as JsonObject)['name'] === 'ask')
        return events(asked, event({ jsonrpc: '2.0', id: 0, method: 'elicitation/create', params: { message: 'old?', requestedSchema: { type: 'object' } } }))
      result(asked, { content: [] })
    })
    const asked = await say('ask')
    expect(asked.kind).toBe('inputRequired')
    const { requests, requestState } = asked as { requests: Record<string, unknown>; requestState: string }
    state.session = 'gone'
    expect(await say('other')).toMatchObject({ kind: 'complete' })
    const [key] = Object.keys(requests)
    await expect(say('ask', { requestState, inputResponses: { [key as string]: { action: 'accept', content: {} } } })).rejects.toMatchObject({ code: expect.stringMatching(/STATE_INVALID|BACKEND_DIED/) })
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(state.said.filter(said => said.startsWith('answer'))).toEqual([])
  })

  it('of a server that has become another one ends the connection', async () => {
    const { state, say, connection } = await open(asked => result(asked, { content: [] }))
    state.session = 'gone'
    state.capabilities = { tools: {}, prompts: {} }
    await expect(say('x')).rejects.toMatchObject({ code: 'BACKEND_DIED' })
    expect(await connection.closed).toMatchObject({ code: 'BACKEND_DIED' })
  })
})
