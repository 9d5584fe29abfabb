/** Ids that lie: doubled, unknown, of the wrong type, late. An answer reaches the call it belongs to or nobody. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { record, size } from './lib/record.ts'
import { said, type StdioClient } from './lib/stdio-client.ts'
import { World } from './lib/world.ts'

const kinds = ['twice', 'text', 'unknown', 'float', 'null', 'huge', 'method', 'progress', 'late progress']

describe.each(['legacy', 'modern'] as const)('%s', era => {
  const world = new World()
  let client: StdioClient
  beforeAll(async () => {
    const flags = era === 'modern' ? ['--modern'] : []
    client = world.run({ mcpServers: { one: world.rogue('one', { flags }), two: world.rogue('two', { flags }) } }, { era, debug: false })
    await client.hello()
    await client.tools()
  })
  afterAll(() => world.end())

  it('of answers that lie reach nobody', async () => {
    const rounds = size(50, 2000)
    let answers = 0
    for (let n = 0; n < rounds; n++) {
      const calls = kinds.map(kind => client.call('one', 'ids', { kind }))
      const plain = [client.call('one', 'echo'), client.call('two', 'echo')]
      for (const call of [...calls, ...plain]) {
        expect(said(await call.reply).mark).toBe(call.mark)
        answers++
      }
    }
    record({
      fault: '6', id: `ids-${era}`, what: `a server answers twice, with unknown, mistyped, fractional, null and unsafe ids, and reports progress of other calls, ${era} era`,
      promise: '0 misrouted', measured: `${answers} calls answered, ${client.wrong.length} misrouted`, met: client.wrong.length === 0,
    })
    expect(client.wrong).toEqual([])
  })

  it('of answers to cancelled calls reach nobody', async () => {
    for (let n = 0; n < 20; n++) {
      const call = client.call('one', 'late')
      // Somebody is open to be hit while the late answer comes.
      const open = client.call('one', 'sleep', { ms: 20 })
      await client.call('one', 'echo').reply
      call.cancel()
      expect(said(await open.reply).mark).toBe(open.mark)
    }
  })

  it('that are in flight already are refused once', async () => {
    const first = client.call('one', 'sleep', { ms: 300 }, { id: 'same' })
    client.send({ jsonrpc: '2.0', id: 'same', method: 'tools/call', params: {
      name: 'two__echo', arguments: { mark: 'never' },
      ...(era === 'modern' ? { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} } } : {}),
    } })
    expect((await first.reply).error?.code).toBe(-32600)
    // The first one's own answer now belongs to an id our books have closed; it must be its own all the same.
    await new Promise(resolve => setTimeout(resolve, 500))
    expect(client.wrong.splice(0)).toEqual([expect.stringContaining(first.mark)])
  })

  it('1 and "1" are two', async () => {
    const calls = [client.call('one', 'sleep', { ms: 50 }, { id: 900_001 }), client.call('two', 'echo', {}, { id: '900001' })]
    for (const call of calls) expect(said(await call.reply).mark).toBe(call.mark)
  })
})
