import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { McpError } from '../../../src/gateway/errors.ts'
import { hushed, mask, Redactor, redactFields } from '../../../src/app/redact.ts'
import { processorMs } from '../timing.ts'

const redactor = (...values: string[]): Redactor => {
  const made = new Redactor()
  made.add(values)
  return made
}

describe('known values', () => {
  const secret = 'p@ss "w\\rd/+ é=1'
  const { scrub } = redactor(secret)
  const spellings: Record<string, string> = {
    raw: secret,
    'URL component': encodeURIComponent(secret),
    'URL component in small letters': encodeURIComponent(secret).replace(/%[0-9A-F]{2}/g, found => found.toLowerCase()),
    'form field': encodeURIComponent(secret).replaceAll('%20', '+'),
    JSON: JSON.stringify({ secret }),
    'JSON in JSON': JSON.stringify(JSON.stringify({ secret })),
    base64: Buffer.from(secret).toString('base64'),
    base64url: Buffer.from(secret).toString('base64url'),
    'basic auth': Buffer.from(`me:${secret}`).toString('base64'),
    'basic auth, other user': Buffer.from(`user1:${secret}`).toString('base64'),
    'basic auth, third alignment': Buffer.from(`user:${secret}@`).toString('base64'),
  }
  for (const [name, text] of Object.entries(spellings))
    it(name, () => {
      const clean = scrub(`before ${text} after`)
      expect(clean).toContain(mask)
      expect(clean).toMatch(/^before .* after$/)
      expect(clean).not.toContain('p@ss')
      // What is left of base64 may give away a character at each end, no more.
      const left = clean.slice('before '.length, -' after'.length).replace(mask, '')
      if (name.startsWith('base')) expect(Buffer.from(left, 'base64').toString('latin1')).not.toContain('w\\rd')
    })

  it('of several lines, line by line', () => {
    const key = '-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n  9w0BAQEFAASCBKcw\nabc\n-----END KEY-----\n'
    const { scrub } = redactor(key)
    for (const line of ['MIIEvQIBADANBgkqhkiG', '9w0BAQEFAASCBKcw']) expect(scrub(`{"line":"${line}"}`)).toBe(`{"line":"${mask}"}`)
    expect(scrub('abc')).toBe('abc')
  })

  it('the longer of two secrets goes whole', () => {
    expect(redactor('abcdef', 'abcdefghij').scrub('x abcdefghij y')).toBe(`x ${mask} y`)
  })

  it('secrets added later are hidden from then on', () => {
    const later = redactor('first-secret')
    expect(later.scrub('first-secret second-secret')).toBe(`${mask} second-secret`)
    later.add(['second-secret'])
    expect(later.scrub('first-secret second-secret')).toBe(`${mask} ${mask}`)
  })

  it('values too short to hide are left, so that the text stays readable', () => {
    expect(redactor('', 'a', '42').scrub('a = 42')).toBe('a = 42')
  })

  it('no value survives in plain, JSON or URL spelling, whatever it is made of', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 4, maxLength: 40 }), fc.string(), fc.string(), (value, before, after) => {
        fc.pre(!`${before}${after}${mask}`.includes(value) && !value.includes('*'))
        const hidden = redactor(value).scrub
        for (const spelling of [value, JSON.stringify(value).slice(1, -1), encodeURIComponent(Buffer.from(value).toString())])
          expect(hidden(`<${spelling}>`)).toBe(`<${mask}>`)
      }),
    )
  })
})

describe('what looks like a credential', () => {
  const { scrub } = redactor()
  it.each([
    ['Authorization: Bearer abcdefgh12345678', `Authorization: Bearer ${mask}`],
    ['authorization: basic dXNlcjpwYXNz', `authorization: basic ${mask}`],
    ['https://user:pass@host/x', `https://${mask}@host/x`],
    ['GET https://h/x?a=1&access_token=zzz&b=2', `GET https://h/x?a=1&access_token=${mask}&b=2`],
    ['https://h/cb?code=abc', `https://h/cb?code=${mask}`],
  ])('%s', (text, clean) => expect(scrub(text)).toBe(clean))

  it.each(['a basic example', 'the bearer of news', 'https://host/a@b', 'mailto:me@x.org', 'zipcode=1'])('%s is left alone', text =>
    expect(scrub(text)).toBe(text),
  )
})

describe('fields', () => {
  it('are masked by name at every depth, errors lose their stack', () => {
    const failure = new Error('no', { cause: new Error('because') })
    const clean = redactFields({
      headers: { Authorization: 'x', 'x-api-key': 'y', accept: 'json' },
      env: [{ DB_PASSWORD: 'p' }],
      tokens: 3,
      failure,
    })
    expect(clean).toEqual({
      headers: { Authorization: mask, 'x-api-key': mask, accept: 'json' },
      env: [{ DB_PASSWORD: mask }],
      tokens: 3,
      failure: { name: 'Error', message: 'no', cause: { name: 'Error', message: 'because' } },
    })
  })

  it('end at a depth, and survive what JSON cannot carry', () => {
    const loop: Record<string, unknown> = { big: 1n }
    loop['self'] = loop
    expect(() => JSON.stringify(redactFields(loop))).not.toThrow()
  })
})

it('an error loses the secrets in its texts and nothing else', () => {
  const { scrub } = redactor('s3cret')
  const rpc = { code: -32000, message: 'not s3cret', data: { kept: true } }
  const error = hushed(new McpError('BACKEND_ERROR', 'no s3cret', { hint: 'its s3cret', backend: 'a', retryAfterMs: 5, rpc }), scrub) as McpError
  expect(error).toMatchObject({ code: 'BACKEND_ERROR', message: `no ${mask}` })
  expect(error.details).toMatchObject({ hint: `its ${mask}`, backend: 'a', retryAfterMs: 5, rpc: { ...rpc, message: `not ${mask}` } })
  const other = new Error('s3cret')
  expect(hushed(other, scrub)).toBe(other)
})

it.each([
  ['Python', 'p\u00e4ss-w\u00f6rd', '"p\\u00e4ss-w\\u00f6rd"'],
  ['PHP', 'abc/def+/ghi=', '"abc\\/def+\\/ghi="'],
  ['Go', 'abc&def<ghi>', '"abc\\u0026def\\u003cghi\\u003e"'],
])('is known as %s writes it in JSON', (_, secret, text) => {
  expect(redactor(secret).scrub(`{"tried":${text}}`)).toBe(`{"tried":"${mask}"}`)
})

it.each([
  ['a scheme', `${'a.'.repeat(200_000)} x://`],
  ['a query', `x://?${'token-'.repeat(60_000)}`],
  ['a user', `x://${'a'.repeat(400_000)}`],
  ['a token', `bearer${' '.repeat(400_000)}`],
])('what may be %s is found in a time that grows with the text and no faster', (_, text) => {
  const before = processorMs()
  redactor('s3cret').scrub(text)
  expect(processorMs() - before).toBeLessThan(1000)
})
