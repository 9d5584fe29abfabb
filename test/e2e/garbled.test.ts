/** Lines on stdin that are not JSON: answered as JSON-RPC has it, and nothing else happens. */
import { describe, expect, it } from 'vitest'
import { connectClient, eventually } from '../fixtures/clients/client.ts'
import { initialize, startRaw, type RawClient } from '../fixtures/clients/raw.ts'
import { call, share, textOf, v1Only } from './daemon-kit.ts'

const parseErrors = (client: RawClient) =>
  client.log.filter(({ direction, message }) => direction === 'received' && message['id'] === null).map(({ message }) => message)

describe.each([['by itself', '1'], ['with a daemon', '']])('run %s', (_how, alone) => {
  it('answers -32700 with no id, within bounds, and goes on', async () => {
    const shared = share(v1Only())
    const client = startRaw({ ...shared.target, env: { ...shared.target.env, MCP_PROXY_NO_DAEMON: alone } })
    shared.closing(() => client.close())
    client.sendLine('is anybody there?')
    await eventually(() => parseErrors(client)[0], 'an answer')
    expect(parseErrors(client)[0]).toMatchObject({ jsonrpc: '2.0', error: { code: -32700 } })
    await initialize(client)
    client.sendLine(Array.from({ length: 10_000 }, (_, n) => `{"garbage":${n}`).join('\n'))
    expect(textOf(await client.request('tools/call', call('old__echo', { message: 'fine' })))).toBe('fine')
    expect(parseErrors(client).length).toBeGreaterThan(1)
    expect(parseErrors(client).length).toBeLessThan(100)
    expect(client.noise).toEqual([])
  })
})

it.each(['v1', 'v2-modern'] as const)('the official client %s ignores such an answer', async kind => {
  const shared = share(v1Only())
  const { command, args = [] } = shared.target
  // What a client's wrapper script writes into the pipe ahead of it.
  const client = await connectClient({
    ...shared.target, kind, answers: {}, command: '/bin/sh', args: ['-c', '{ echo "not json"; cat; } | "$0" "$@"', command as string, ...args],
  })
  shared.closing(() => client.close())
  expect(await client.say('old__echo', { message: 'fine' })).toBe('fine')
})
