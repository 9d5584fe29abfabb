import { describe, expect, it } from 'vitest'
import { eraOfNotification, eraOfRequest, readProbe } from '../../../src/eras/detect.ts'
import { backendError, McpError } from '../../../src/gateway/errors.ts'
import { key, meta } from './modern/rig.ts'

const at = (version: unknown, more: object = {}) => ({ _meta: { [key.version]: version, [key.capabilities]: {}, ...more } })

describe('the era of a request', () => {
  it.each([
    ['with the per-request fields', 'tools/list', { _meta: meta() }, false, 'modern'],
    ['with them, after a handshake on the same process', 'tools/list', { _meta: meta() }, true, 'modern'],
    ['with a version of tomorrow', 'tools/list', at('2027-01-01'), false, 'modern'],
    ['with an older version in the fields', 'tools/list', at('2025-11-25'), false, 'modern'],
    ['with a version that is no string', 'tools/list', at(7), false, 'modern'],
    ['with other reserved keys only', 'tools/list', { _meta: { [key.client]: {}, progressToken: 1 } }, false, 'legacy'],
    ['without any', 'tools/list', {}, false, 'legacy'],
    ['without params', 'ping', undefined, false, 'legacy'],
    ['after a handshake', 'tools/list', {}, true, 'legacy'],
    ['initialize', 'initialize', { protocolVersion: '2025-11-25' }, false, 'legacy'],
    ['initialize once more', 'initialize', { protocolVersion: '2025-11-25' }, true, 'legacy'],
    ['a whole modern request that is called initialize', 'initialize', { _meta: meta() }, false, 'modern'],
    ['initialize with an older version in the fields', 'initialize', at('2025-11-25'), false, 'legacy'],
    ['initialize with half the fields', 'initialize', { _meta: { [key.version]: '2026-07-28' } }, false, 'legacy'],
    ['initialize with a version that is no date', 'initialize', at('vNext'), false, 'legacy'],
    ['discover without the fields', 'server/discover', {}, false, 'modern'],
    ['listen without the fields', 'subscriptions/listen', { notifications: {} }, false, 'modern'],
    ['discover without the fields, after a handshake', 'server/discover', {}, true, 'legacy'],
    ['fields that are no object', 'tools/list', { _meta: 'x' }, false, 'legacy'],
  ] as const)('%s', (_title, method, params, handshaken, era) => {
    expect(eraOfRequest(method, params as never, handshaken)).toBe(era)
  })

  it('follows the connection for notifications', () => {
    expect(eraOfNotification({}, true)).toBe('legacy')
    expect(eraOfNotification(undefined, false)).toBe('modern')
    expect(eraOfNotification({ _meta: meta() }, true)).toBe('modern')
  })
})

const refused = (code: number, detail?: unknown) => backendError({ code, message: 'no', data: detail })
const versions = (...supported: string[]) => refused(-32022, { supported, requested: '2026-07-28' })

describe('the answer to the probe', () => {
  const discovered = (...supportedVersions: unknown[]) => ({ supportedVersions, capabilities: {} })
  it.each([
    ['our version', discovered('2026-07-28'), 'modern'],
    ['ours among others', discovered('2025-11-25', '2026-07-28', '2027-01-01'), 'modern'],
    ['only older versions', discovered('2025-11-25'), 'legacy'],
    ['only newer ones', discovered('2027-01-01'), 'foreign'],
    ['newer and older ones', discovered('2027-01-01', '2025-06-18'), 'legacy'],
    ['no list', { capabilities: {} }, 'legacy'],
    ['an empty list', discovered(), 'legacy'],
    ['a list of something else', discovered(1), 'legacy'],
    ['no capabilities', { supportedVersions: ['2026-07-28'] }, 'legacy'],
    ['the result of something else', { tools: [] }, 'legacy'],
    ['unsupported, but ours is offered', versions('2026-07-28'), 'again'],
    ['unsupported, older ones offered', versions('2025-11-25', '2025-06-18'), 'legacy'],
    ['unsupported, newer ones offered', versions('2027-01-01'), 'foreign'],
    ['unsupported, without a list', refused(-32022), 'legacy'],
    ['method not found', refused(-32601), 'legacy'],
    ['invalid params', refused(-32602), 'legacy'],
    ['an error code of its own', refused(-1), 'legacy'],
    ['a header mismatch', refused(-32020), 'legacy'],
    ['an answer that is none', new McpError('BACKEND_PROTOCOL', 'x'), 'legacy'],
    ['an answer too large to read', new McpError('MESSAGE_TOO_LARGE', 'x'), 'legacy'],
    ['a demand to sign in', new McpError('BACKEND_NEEDS_AUTH', 'x'), 'none'],
    ['a broken web server', new McpError('BACKEND_HTTP', 'x'), 'none'],
    ['death', new McpError('BACKEND_DIED', 'x'), 'none'],
  ])('%s', (_title, answer, kind) => {
    expect(readProbe(answer).kind).toBe(kind)
  })

  it('gives the version and the whole answer', () => {
    const answer = { ...discovered('2026-07-28'), instructions: 'hi' }
    expect(readProbe(answer)).toEqual({ kind: 'modern', version: '2026-07-28', discovered: answer })
  })
})
