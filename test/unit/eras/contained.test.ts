import { describe, expect, it } from 'vitest'
import { connect, serve } from '../../../src/eras/era.ts'
import { never } from '../../../src/gateway/cancellation.ts'
import type { Call, Connection, JsonObject } from '../../../src/gateway/contract.ts'
import { silent, type Log } from '../../../src/gateway/log.ts'
import { memoryPair, type Message } from '../../../src/transports/channel.ts'
import { FakeGateway, meta, quiet, serveOptions, version, Wire } from './modern/rig.ts'

function keeping(): { log: Log; errors: unknown[] } {
  const errors: unknown[] = []
  return { errors, log: { ...silent, error: (fields: JsonObject) => void errors.push(fields['error']) } }
}

const broken = new Error('a handler has a fault')
const capabilities = { tools: {}, logging: {} }
const legacyOpening = { initialize: { protocolVersion: '2025-11-25', capabilities, serverInfo: { name: 'a', version: '1' } } }
const modernOpening = { 'server/discover': { resultType: 'complete', supportedVersions: [version], capabilities } }

/** A server that tells of progress before it answers. */
async function connected(openings: { [method: string]: JsonObject }, log: Log): Promise<{ connection: Connection; server: Wire }> {
  const [ours, theirs] = memoryPair()
  const server = new Wire(theirs)
  server.onRequest = ({ id, method, params }: Message) => {
    if (method?.startsWith('server/') || method === 'initialize') return openings[method] ?? { error: { code: -32601, message: 'no' } }
    const progressToken = (params?.['_meta'] as JsonObject | undefined)?.['progressToken']
    if (progressToken !== undefined) server.send({ method: 'notifications/progress', params: { progressToken, progress: 1 } })
    setTimeout(() => server.send({ id: id as number, result: { resultType: 'complete', content: [] } }), 5)
    return undefined
  }
  const connection = await connect({
    name: 'files', log, self: { name: 'mcp-proxy', version: '0' }, dial: async () => ours,
    timeouts: { probe: 30, start: 1000, call: 1000 }, asks: { rounds: 3, waitMs: 1000, parked: 4 },
  })
  return { connection, server }
}

const callOf = (progress?: () => void): Call => ({
  method: 'tools/call', params: { name: 'a' }, cancellation: never, progress,
  client: { id: 'c', principal: 'local', info: undefined, capabilities: {}, revision: version, logLevel: undefined },
} as unknown as Call)

describe.each([['legacy', legacyOpening], ['modern', modernOpening]])('an error while a message of a %s server is handled', (_era, openings) => {
  it('ends this connection, typed and told in full to the log alone, and no other', async () => {
    const { log, errors } = keeping()
    const [faulty, other] = [await connected(openings, log), await connected(openings, log)]
    const open = faulty.connection.handle(callOf())
    const thrower = faulty.connection.handle(callOf(() => {
      throw broken
    }))
    for (const call of [open, thrower]) {
      const error = await call.then(() => expect.unreachable(), thrown => thrown)
      expect(error).toMatchObject({ code: 'INTERNAL' })
      expect(JSON.stringify(error.toRpc())).not.toContain(broken.message)
    }
    expect(await faulty.connection.closed).toMatchObject({ code: 'INTERNAL' })
    await quiet()
    expect(faulty.server.closed).toBe(true)
    expect(errors).toEqual([broken])
    expect(await other.connection.handle(callOf())).toMatchObject({ kind: 'complete' })
    expect(other.server.closed).toBe(false)
  })
})

describe('an error while a client’s message is handled', () => {
  it('is the answer to the request it was, and the client is served on', async () => {
    const { log, errors } = keeping()
    const [ours, theirs] = memoryPair()
    const gateway = new FakeGateway()
    let isFaulty = true
    const options = serveOptions(gateway)
    serve(ours, Object.create(options, {
      log: { value: log },
      gateway: { get: () => {
        if (isFaulty) throw broken
        return gateway
      } },
    }) as typeof options)
    const client = new Wire(theirs)
    const ask = () => client.ask('tools/call', { name: 'a', _meta: meta() })
    const { error } = await ask()
    expect(error).toMatchObject({ code: -32603, data: { code: 'INTERNAL' } })
    expect(JSON.stringify(error)).not.toContain(broken.message)
    expect(errors).toEqual([broken])
    isFaulty = false
    expect((await ask()).error).toBeUndefined()
  })
})
