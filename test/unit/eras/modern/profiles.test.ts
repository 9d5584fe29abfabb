import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../../src/gateway/contract.ts'
import { Profiles, travellingMeta } from '../../../../src/eras/modern/profiles.ts'
import { key, meta, version } from './rig.ts'

const profiles = () => new Profiles('client-1', 'ann')
const failure = (act: () => unknown) => {
  try {
    act()
  } catch (error) {
    return (error as { toRpc(): { code: number; data?: object } }).toRpc()
  }
  throw new Error('nothing was thrown')
}

describe('the per-request fields of a client', () => {
  it('become a profile', () => {
    const capabilities = { elicitation: { form: {} }, extensions: { 'acme/x': { y: 1 } } }
    expect(profiles().read({ _meta: meta(capabilities, { [key.logLevel]: 'notice' }) })).toEqual({
      id: 'client-1',
      principal: 'ann',
      info: { name: 'tester', version: '1' },
      capabilities,
      revision: version,
      logLevel: 'notice',
    })
  })

  it('need not name the client', () => {
    const { [key.client]: _client, ...rest } = meta()
    expect(profiles().read({ _meta: rest }).info).toBeUndefined()
  })

  it.each([
    ['no params', undefined],
    ['no _meta', {}],
    ['a _meta that is no object', { _meta: [] }],
    ['no version', { _meta: { [key.capabilities]: {} } }],
    ['a version that is no string', { _meta: meta({}, { [key.version]: 1 }) }],
    ['no capabilities', { _meta: { [key.version]: version } }],
    ['capabilities that are no object', { _meta: meta([] as never) }],
    ['an unknown log level', { _meta: meta({}, { [key.logLevel]: 'loud' }) }],
  ])('with %s are invalid params', (_title, params) => {
    expect(failure(() => profiles().read(params)).code).toBe(-32602)
  })

  it.each(['v999.0.0', '2025-11-25', '2027-01-01'])('of version %s are told which versions there are', requested => {
    expect(failure(() => profiles().read({ _meta: { [key.version]: requested } }))).toEqual({
      code: -32022,
      message: 'Unsupported protocol version',
      data: { supported: [version], requested },
    })
  })

  it('give the same object while they stay the same, whatever the order of keys', () => {
    const all = profiles()
    const one = all.read({ _meta: meta({ a: { b: 1, c: [1, 2] }, d: {} }) })
    expect(all.read({ _meta: meta({ d: {}, a: { c: [1, 2], b: 1 } }) })).toBe(one)
    expect(all.read({ _meta: meta({ d: {}, a: { c: [2, 1], b: 1 } }) })).not.toBe(one)
    expect(all.read({ _meta: meta({ a: { b: 1, c: [1, 2] }, d: {} }, { [key.logLevel]: 'info' }) })).not.toBe(one)
    expect(all.read({ _meta: meta({ a: { b: 1, c: [1, 2] }, d: {} }) })).toBe(one)
  })

  it('are not remembered without bound', () => {
    const all = profiles()
    const first = all.read({ _meta: meta({ n: 0 }) })
    for (let n = 1; n < 100; n++) all.read({ _meta: meta({ n }) })
    expect(all.read({ _meta: meta({ n: 0 }) })).not.toBe(first)
    expect(all.latest.capabilities).toEqual({ n: 0 })
  })
})

describe('metadata that travels', () => {
  it('is all but the fields of the hop', () => {
    const own = { traceparent: '00-1', 'acme/x': 1, 'io.modelcontextprotocol/related-task': { taskId: 't' } }
    expect(travellingMeta({ ...meta(), progressToken: 3, [key.logLevel]: 'info', ...own })).toEqual(own)
    expect(travellingMeta({ ...meta(), progressToken: 3 })).toBeUndefined()
    const odd = '{"__proto__":{"a":1},"constructor":2}'
    expect(JSON.stringify(travellingMeta(JSON.parse(odd) as JsonObject))).toBe(odd)
  })
})
