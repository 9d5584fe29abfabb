/** Our choice of era against that of the official SDK, on requests of every make. */
import { classifyInboundRequest } from '@modelcontextprotocol/server'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { eraOfPost } from '../../../src/eras/detect.ts'
import type { JsonObject } from '../../../src/gateway/contract.ts'

const versions = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25', '2026-07-28', '2099-01-01']
const key = (name: string) => `io.modelcontextprotocol/${name}`
const meta = fc.record(
  {
    [key('protocolVersion')]: fc.constantFrom<unknown>(...versions, 7),
    [key('clientCapabilities')]: fc.constantFrom<unknown>({}, { sampling: {} }, 'none'),
    [key('clientInfo')]: fc.constantFrom<unknown>({ name: 'x', version: '1' }),
    progressToken: fc.constantFrom<unknown>(1, 'a'),
  },
  { requiredKeys: [] },
)
const params = fc.record(
  { _meta: meta, name: fc.string(), protocolVersion: fc.constantFrom(...versions), capabilities: fc.constant({}) },
  { requiredKeys: [] },
)
const methods = ['initialize', 'server/discover', 'subscriptions/listen', 'tools/call', 'tools/list', 'ping', 'notifications/cancelled', 'x/y']
const message = fc
  .record({ id: fc.constantFrom<unknown>(1, 'a', undefined), method: fc.constantFrom(...methods), params: fc.option(params, { nil: undefined }) })
  .map(fields => JSON.parse(JSON.stringify({ jsonrpc: '2.0', ...fields })) as JsonObject)
const answer = fc.constantFrom<JsonObject>({ jsonrpc: '2.0', id: 1, result: {} }, { jsonrpc: '2.0', id: 1, error: { code: -1, message: 'no' } })

describe('which era a POST belongs to', () => {
  it('is what the official classifier says', () => {
    let seen = 0
    fc.assert(
      fc.property(fc.oneof({ weight: 9, arbitrary: message }, answer), fc.constantFrom(undefined, ...versions), (body, protocolVersionHeader) => {
        const theirs = classifyInboundRequest({ httpMethod: 'POST', protocolVersionHeader, body } as never)
        const ours = eraOfPost(body as never, protocolVersionHeader)
        seen++
        // A refusal of theirs concerns the newer era's form: only that era has words for what is wrong.
        const kind = theirs.kind === 'reject' ? 'modern' : theirs.kind
        expect([JSON.stringify(body), protocolVersionHeader, ours]).toEqual([JSON.stringify(body), protocolVersionHeader, kind])
      }),
      { numRuns: 5000 },
    )
    expect(seen).toBeGreaterThanOrEqual(5000)
  })
})
