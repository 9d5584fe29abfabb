import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { accepts, bearerTokens, createGuard } from '../../../src/transports/http-guard.ts'

const ask = (headers: Record<string, string>, localAddress = '127.0.0.1', raw = Object.entries(headers).flat()): IncomingMessage =>
  ({ headers, rawHeaders: raw, socket: { localAddress } }) as unknown as IncomingMessage

describe('the guard', () => {
  const guard = createGuard({ hosts: ['named.example', 'other.example:8443'], origins: ['https://app.example/'], secure: false })
  const statusOf = (headers: Record<string, string>, address?: string) => guard.check(ask(headers, address))?.status

  it('knows loopback by every name, and itself by the address it was reached at', () => {
    for (const host of ['localhost', 'LOCALHOST:1', '127.0.0.1:80', '[::1]', '[::1]:65535', 'named.example:9', 'other.example:8443'])
      expect([host, statusOf({ host })]).toEqual([host, undefined])
    expect(statusOf({ host: '10.0.0.7:3050' }, '10.0.0.7')).toBeUndefined()
    expect(statusOf({ host: '10.0.0.7' }, '::ffff:10.0.0.7')).toBeUndefined()
    expect(statusOf({ host: '[fd00::7]' }, 'fd00::7')).toBeUndefined()
    expect(statusOf({ host: '10.0.0.8' }, '10.0.0.7')).toBe(403)
  })

  it('remembers no address of another interface', () => {
    expect(statusOf({ host: '10.0.0.7' }, '10.0.0.7')).toBeUndefined()
    expect(statusOf({ host: '10.0.0.7' }, '10.0.0.9')).toBe(403)
  })

  it('refuses what is no host, and hosts nobody named', () => {
    for (const host of ['', ' ', 'a b', 'localhost/', 'localhost?', 'localhost#', 'x@localhost', 'localhost:', 'localhost:x', 'localhost:123456', '[::1', '::1', 'localhost.', '.localhost', 'localhost%00', '127.1', '0x7f.1', '１２７.0.0.1', 'other.example', 'a'.repeat(300)])
      expect([host, statusOf({ host })]).toEqual([host, 403])
    expect(statusOf({})).toBe(400)
  })

  it('takes our own origin and those that were named', () => {
    for (const origin of ['http://localhost:3050', 'HTTP://LOCALHOST:3050', 'https://app.example'])
      expect([origin, statusOf({ host: 'localhost:3050', origin })]).toEqual([origin, undefined])
    for (const origin of ['', 'null', 'http://localhost', 'https://localhost:3050', 'http://127.0.0.1:3050', 'https://app.example:443', 'https://app.example.evil', 'file://'])
      expect([origin, statusOf({ host: 'localhost:3050', origin })]).toEqual([origin, 403])
  })

  it('refuses what a browser says is of another origin and has none, and takes what no page has sent', () => {
    const from = (site: string, more = {}) => statusOf({ host: 'localhost:3050', 'sec-fetch-site': site, ...more })
    for (const site of ['cross-site', 'same-site', 'none, cross-site', '', 'NONE']) expect([site, from(site)]).toEqual([site, 403])
    for (const site of ['none', 'same-origin']) expect([site, from(site)]).toEqual([site, undefined])
    expect(from('cross-site', { origin: 'https://app.example' })).toBeUndefined()
    expect(from('same-origin', { origin: 'https://evil.example' })).toBe(403)
  })

  it('sees fields that were sent twice, in any letters', () => {
    const twice = (name: string, other: string) => guard.check(ask({ host: 'localhost' }, undefined, ['Host', 'localhost', name, 'a', other, 'b']))?.status
    for (const name of ['authorization', 'origin', 'mcp-session-id', 'mcp-param-anything', 'content-type', 'last-event-id'])
      expect([name, twice(name, name.toUpperCase())]).toEqual([name, 400])
    expect(twice('accept', 'Accept')).toBeUndefined()
    expect(twice('x-forwarded-for', 'x-forwarded-for')).toBeUndefined()
  })
})

describe('bearer tokens', () => {
  const authenticate = bearerTokens(new Map([['token-of-ann-0001', 'ann'], ['token-of-bob-0002', 'bob']]))
  it('say whose they are', () => {
    expect(authenticate('Bearer token-of-ann-0001')).toBe('ann')
    expect(authenticate('bearer   token-of-bob-0002')).toBe('bob')
  })
  it.each([undefined, '', 'Bearer', 'Bearer ', 'token-of-ann-0001', 'Bearer token-of-ann-000', 'Bearer token-of-ann-00011', 'Bearer TOKEN-OF-ANN-0001', 'Bearer token-of-ann-0001 ', 'Bearer token-of-ann-0001,token-of-bob-0002', 'Basic token-of-ann-0001', 'Bearer\ttoken-of-ann-0001'])(
    'are nothing like %j', authorization => expect(authenticate(authorization)).toBeUndefined(),
  )
  it('let nobody in when there are none', () => expect(bearerTokens(new Map())('Bearer x')).toBeUndefined())
})

describe('Accept', () => {
  it.each([
    [undefined, true], ['*/*', true], ['application/*', true], ['application/json', true], ['text/html, APPLICATION/JSON;q=0.1', true],
    ['text/html', false], ['', false], ['application/json;q=0', false], ['application/json;q=0, */*', false], ['*/*;q=0, application/json', true],
    ['application/jsonp', false], ['application/json; q=0.0', false],
  ] as const)('%j', (field, taken) => expect(accepts(field, 'application/json')).toBe(taken))
})
