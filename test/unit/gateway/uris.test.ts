import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileUriTemplate } from '../../../src/gateway/uri-template.ts'
import { climbs, isNamespaced, namespacedUri, parseNamespaced, schemeOf, spellingsOf } from '../../../src/gateway/uris.ts'
import { processorMs } from '../timing.ts'

const alias = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/)

describe('namespaced URIs', () => {
  it.each([
    ['file:///data/a.txt', 'mcp-proxy://files/file:///data/a.txt'],
    ['https://example.com/a?b=c#d', 'mcp-proxy://files/https://example.com/a?b=c#d'],
    ['README.md', 'mcp-proxy://files/README.md'],
    ['ui://weather/view.html', 'ui://mcp-proxy.files/weather/view.html'],
    ['mcp-proxy://x/file:///a', 'mcp-proxy://files/mcp-proxy://x/file:///a'],
    ['file:///{+path}{?a,b*}', 'mcp-proxy://files/file:///{+path}{?a,b*}'],
  ])('%s is %s', (own, spelt) => {
    expect(namespacedUri('files', own)).toBe(spelt)
    expect(isNamespaced(spelt)).toBe(true)
    expect(parseNamespaced(spelt)).toEqual({ alias: 'files', own })
  })

  it('reads back whatever a server calls a URI', () => {
    fc.assert(
      fc.property(
        alias,
        fc.oneof(
          fc.webUrl({ withFragments: true, withQueryParameters: true }),
          fc.string({ unit: 'binary' }),
          fc.string().map(text => `ui://${text}`),
        ),
        (a, own) => {
          expect(parseNamespaced(namespacedUri(a, own))).toEqual({ alias: a, own })
        },
      ),
    )
  })
  it('survives what normalises URIs', () => {
    fc.assert(
      fc.property(alias, fc.webUrl({ withQueryParameters: true }), (a, own) => {
        const { href } = new URL(own)
        const spelt = namespacedUri(a, href)
        expect(new URL(spelt).href).toBe(spelt)
      }),
    )
  })
  it.each([
    '',
    'file:///a',
    'ui://weather/x',
    'mcp-proxy:files',
    'mcp-proxy://',
    'mcp-proxy:///a',
    'mcp-proxy://files',
    'ui://mcp-proxy.',
  ])('%j is none', uri => expect(parseNamespaced(uri)).toBeUndefined())
})

describe('schemes', () => {
  it.each([
    ['file:///a', 'file'],
    ['HTTPS://a', 'https'],
    ['test://static/{id}', 'test'],
    ['{scheme}://a', undefined],
    ['README.md', undefined],
    [':a', undefined],
    ['a_b:c', undefined],
  ])('%s: %s', (uri, scheme) => expect(schemeOf(uri)).toBe(scheme))
})

describe('spellings', () => {
  it.each([
    'file:///a/./b', 'file:///a/x/../b', 'file:///a/%2e/b', 'file:///a/x%2F..%2Fb', 'file:///%61/b', 'file:///a//b', 'file:////a/b', 'FILE:///a/b',
    'file:/a/b', 'file://localhost/a/b', 'file:///a\\b', 'file:///../a/b', 'file:///%61%2fx/..%5cb',
  ])('%s may mean file:///a/b', uri => expect([...spellingsOf(uri)]).toContain('file:///a/b'))
  it.each([
    'x://a/./b', 'x://a/c/../b', 'x://a//b', 'X://a/b', 'x://a\\b', 'x://c/../a/b', 'x://./a/b', 'x://a/c%2F..%2Fb', 'x://a/c?/../b', 'x://../a/%62',
  ])('%s may mean x://a/b, also where a server takes the host for the first folder', uri => expect([...spellingsOf(uri)]).toContain('x://a/b'))
  it.each([
    ['x:c/../b', 'x:b'], ['x://a/c/../b?q=/../r', 'x://a/b?q=/../r'], ['x://a/..?q', 'x://?q'], ['c/../b', 'b'], ['x://a/c/..', 'x://a/'], ['x://.', 'x://'],
  ])('%s may mean %s', (uri, meant) => expect([...spellingsOf(uri)]).toContain(meant))
  it('undoes what it can where not everything is an escape', () => expect([...spellingsOf('x://h/%zz%61%ff')]).toContain('x://h/%zza%ff'))
  it('begins with the text itself, whatever that is', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.webUrl()), text => {
        expect([...spellingsOf(text)][0]).toBe(text)
      }),
    )
  })
  it.each([['file:///a/../b', true], ['x:/a/%2e%2E', true], ['x:\\\\a\\..\\b', true], ['x://a/b..c/.d', false], ['x://a/...', false]])(
    'of %s: climbs %s',
    (uri, expected) => expect(climbs(uri)).toBe(expected),
  )
})

describe('URI templates', () => {
  const fits = (template: string, uri: string) => compileUriTemplate(template)?.matches(uri)

  // Expansions of RFC 6570 section 3.2, where `path` is /foo/bar, `list` is (red, green, blue), x 1024 and y 768.
  it.each([
    ['O{undef}X', 'OX'],
    ['{var}', 'value'],
    ['{hello}', 'Hello%20World%21'],
    ['map?{x,y}', 'map?1024,768'],
    ['{var:3}', 'val'],
    ['{list*}', 'red,green,blue'],
    ['{+path}/here', '/foo/bar/here'],
    ['here?ref={+path}', 'here?ref=/foo/bar'],
    ['{+x,hello,y}', '1024,Hello%20World!,768'],
    ['X{#var}', 'X#value'],
    ['{#path,x}/here', '#/foo/bar,1024/here'],
    ['X{.var}', 'X.value'],
    ['X{.x,y}', 'X.1024.768'],
    ['X{.list*}', 'X.red.green.blue'],
    ['{/var,x}/here', '/value/1024/here'],
    ['{/list*,path:4}', '/red/green/blue/%2Ffoo'],
    ['{;x,y,empty}', ';x=1024;y=768;empty'],
    ['{?x,y}', '?x=1024&y=768'],
    ['{?x,y}', ''],
    ['?fixed=yes{&x}', '?fixed=yes&x=1024'],
    ['db://{table}/{id}', 'db://users/7'],
    ['db://{table}/{id}.json', 'db://users/a.b.json'],
    ['file:///{path*}', 'file:///a/b/c'],
    ['a{+x}-{y}', 'ax-y/z-w'],
    ['plain://uri', 'plain://uri'],
  ])('%s can be %s', (template, uri) => expect(fits(template, uri)).toBe(true))

  it.each([
    ['db://{table}/{id}', 'db://users/7/8'],
    ['db://{table}', 'db://users/7'],
    ['db://{table}', 'dbx://users'],
    ['X{.var}', 'Xvalue'],
    ['{/var}', 'value'],
    ['X{?a}', 'X&a=1'],
    ['file:///{name}.txt', 'file:///a.txt.bak'],
    ['aXb{x}bYa', 'aXbYa'],
    ['plain://uri', 'plain://uri2'],
  ])('%s cannot be %s', (template, uri) => expect(fits(template, uri)).toBe(false))

  it.each(['file:///{path', 'file:///{}', 'a}b', '{a{b}}', '{=a}', '{|a}', '{+}', `{${'a'.repeat(3000)}}`, '{a}'.repeat(11)])(
    '%s is not read',
    template => expect(compileUriTemplate(template)).toBeUndefined(),
  )

  it('counts what stands for itself', () => {
    expect(compileUriTemplate('file:///docs/{name}')?.literal).toBe('file:///docs/'.length)
  })

  it('matches what simple expansion makes of it', () => {
    const part = fc.oneof(
      fc.constantFrom('a', 'b', 'ab', '/', '-', '.'),
      fc.record({ value: fc.string({ unit: fc.constantFrom('a', 'b', '-', '.'), maxLength: 4 }) }),
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 9 }), parts => {
        const template = parts.map(piece => (typeof piece === 'string' ? piece : '{v}')).join('')
        const uri = parts.map(piece => (typeof piece === 'string' ? piece : piece.value)).join('')
        expect(fits(template, uri)).toBe(true)
        expect(parseNamespaced(namespacedUri('x', uri))?.own).toBe(uri)
        expect(fits(namespacedUri('x', template), namespacedUri('x', uri))).toBe(true)
      }),
    )
  })
  it('agrees with a regular expression', () => {
    const template = fc.array(fc.constantFrom('a', 'aa', 'ab', '{v}', '{+v}', '/'), { maxLength: 9 })
    fc.assert(
      fc.property(template, fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 12 }), (parts, uri) => {
        const reading = parts.map(piece => (piece === '{v}' ? '[^/?#]*' : piece === '{+v}' ? '.*' : piece)).join('')
        expect(fits(parts.join(''), uri)).toBe(new RegExp(`^${reading}$`).test(uri))
      }),
      { numRuns: 500 },
    )
  })
  it('takes hostile templates and URIs in no time', () => {
    const before = processorMs()
    for (const template of [
      '{a}aa'.repeat(10),
      `{a}${'a'.repeat(2000)}b{c}`,
      '{+a}{+b}{+c}{+d}{+e}{+f}{+g}{+h}{+i}b{+j}',
      `{a}${'ab'.repeat(1000)}{b}`,
    ])
      for (const uri of ['a'.repeat(4096), 'ab'.repeat(2048), 'a'.repeat(50_000)]) fits(template, uri)
    expect(processorMs() - before).toBeLessThan(100)
  })
})
