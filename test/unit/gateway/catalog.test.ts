import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildCatalog, sameSurface } from '../../../src/gateway/catalog.ts'
import { Links } from '../../../src/gateway/links.ts'
import { costMs, processorMs } from '../timing.ts'
import { catalog, member, names, options } from './offers.ts'

const route = (alias: string, own: string) => expect.objectContaining({ alias, own })
const codes = (c: ReturnType<typeof catalog>) => c.problems.map(({ code }) => code)

describe('names of tools and prompts', () => {
  it('merges lists in config order, then the backend’s', () => {
    const c = catalog([
      member('b', { tools: ['z', 'a'], prompts: ['p'] }),
      member('off', undefined),
      member('a', { tools: ['a'] }),
    ])
    expect(names(c.tools)).toEqual(['b__z', 'b__a', 'a__a'])
    expect(names(c.prompts)).toEqual(['b__p'])
    expect(c.tool('b__a')).toEqual(route('b', 'a'))
    expect(c.tool('a__a')).toEqual(route('a', 'a'))
    expect(c.prompt('b__p')).toEqual(route('b', 'p'))
    expect(c.prompt('p')).toBeUndefined()
    expect(c.tool('off__x')).toBeUndefined()
    expect(c.problems).toEqual([])
  })
  it('keeps every field of an item, and the item itself where nothing changes', () => {
    const tool = {
      title: 'T',
      name: 'x',
      inputSchema: { $schema: 'urn:any', type: 'object' },
      vendor: [1],
      _meta: { 'a/b': { c: 1 } },
    }
    const c = catalog([member('a', { tools: [tool], prompts: [{ name: 'p', more: 1 }] })])
    expect(c.tools[0]).toEqual({ ...tool, name: 'a__x' })
    expect(Object.keys(c.tools[0] ?? {})).toEqual(Object.keys(tool))
    expect(c.tool('a__x')?.item).toBe(tool)
    expect(tool.name).toBe('x')
    expect(catalog([member('a', { tools: [tool] })], 'never').tools[0]).toBe(tool)
  })
  it('prefixes only what clashes with `onClash`', () => {
    const c = catalog([member('a', { tools: ['x', 'y'] }), member('b', { tools: ['x', 'z'] })], 'onClash')
    expect(names(c.tools)).toEqual(['a__x', 'y', 'b__x', 'z'])
    expect(c.tool('y')).toEqual(route('a', 'y'))
    expect(c.tool('x')).toBeUndefined()
    expect(c.problems).toEqual([])
  })
  it('refuses a collision, naming both origins, whoever comes first', () => {
    const members = [member('a', { tools: ['x', 'y'] }), member('b', { tools: ['x', 'z'] })]
    for (const list of [members, [...members].reverse()]) {
      const c = catalog(list, 'never')
      expect(names(c.tools).sort()).toEqual(['y', 'z'])
      expect(c.tool('x')).toBeUndefined()
      expect(c.problems).toHaveLength(1)
      expect(c.problems[0]).toMatchObject({
        code: 'NAME_COLLISION',
        severity: 'warning',
        aliases: list.map(({ alias }) => alias),
      })
      expect(c.problems[0]?.message).toMatch(/"x".*[ab] \("x"\) and [ab] \("x"\)/)
    }
  })
  it('refuses names that only a rename made equal', () => {
    const c = catalog([member('a', { tools: ['x', 'y', 'z'] }, { tools: { rename: { x: 'y' } } })])
    expect(names(c.tools)).toEqual(['a__z'])
    expect(c.problems[0]?.message).toContain('a ("x") and a ("y")')
  })
  it('takes a bare own name where one backend has it, and never where two do', () => {
    const c = catalog([member('a', { tools: ['x', 'y'] }), member('b', { tools: ['x', 'a__y'] })])
    expect(c.tool('y')).toMatchObject({ alias: 'a', own: 'y', name: 'a__y' })
    expect(c.tool('x')).toBeUndefined()
    expect(c.tool('a__y')).toEqual(route('a', 'y'))
    // A withheld tool is not reached by its own name either.
    expect(catalog([member('a', { tools: ['x'] }), member('b', { tools: ['x'] })], 'never').tool('x')).toBeUndefined()
  })
  it('takes no bare own name that another backend may have as its public one, known or not', () => {
    const games = member('games', { tools: ['bank__pay', 'games__x', 'bankish'] })
    for (const bank of [member('bank', undefined), member('bank', { tools: ['pay'] }, { tools: { exclude: ['pay'] } })]) {
      const c = catalog([bank, games])
      expect(c.tool('bank__pay')).toBeUndefined()
      expect(c.tool('games__bank__pay')).toEqual(route('games', 'bank__pay'))
      expect(c.tool('bankish')).toEqual(route('games', 'bankish'))
      // What could only ever be its own.
      expect(c.tool('games__x')).toEqual(route('games', 'games__x'))
      expect(catalog([bank, games], 'onClash').tool('bank__pay')?.alias).toBe('games')
    }
    expect(catalog([games]).tool('bank__pay')).toEqual(route('games', 'bank__pay'))
  })
  it('takes no bare own name that a second backend has and hides', () => {
    const c = catalog([member('bank', { tools: ['pay', 'show'] }, { tools: { exclude: ['pay'] } }), member('games', { tools: ['pay'] })])
    expect(c.tool('pay')).toBeUndefined()
    expect(c.tool('show')).toEqual(route('bank', 'show'))
    expect(c.tool('games__pay')).toEqual(route('games', 'pay'))
  })
  it('knows public names whose prefix was cut, too', () => {
    const own = 'transfer_money_between_accounts'
    for (const maxLength of [16, 24, 40, 64]) {
      const alias = 'the-bank-of-which-this-is-money'
      const [shown] = names(buildCatalog([member(alias, { tools: [own] })], { ...options, maxLength }).tools) as [string]
      const c = buildCatalog([member(alias, undefined), member('b', { tools: [shown] })], { ...options, maxLength })
      expect(c.tool(shown)).toBeUndefined()
    }
  })
  it('reaches bare own names also where prefixes have to be cut, unless they could be cut ones', () => {
    const members = [member('files', { tools: ['read_it'] }), member('git', { tools: ['status', 'fetch', 'x_abcdef'] })]
    for (const maxLength of [16, 17, 20, 64]) {
      const c = buildCatalog(members, { ...options, maxLength })
      expect(c.tool('status')).toEqual(route('git', 'status'))
      expect(c.tool('read_it')).toEqual(route('files', 'read_it'))
    }
    expect(buildCatalog(members, { ...options, maxLength: 16 }).tool('x_abcdef')).toBeUndefined()
  })
  it('renames and describes prompts, and leads completions back', () => {
    const rules = { prompts: { rename: { p: 'q', gone: 'x' }, describe: { p: 'new' } } }
    const c = catalog([member('a', { prompts: [{ name: 'p', description: 'old', more: 1 }, 'toString'] }, rules)])
    expect(c.prompts).toEqual([{ name: 'a__q', description: 'new', more: 1 }, { name: 'a__toString' }])
    expect(c.prompt('a__q')).toMatchObject(route('a', 'p'))
    expect(c.prompt('a__p')).toBeUndefined()
    expect(c.ref({ type: 'ref/prompt', name: 'a__q' })).toEqual({ alias: 'a', ref: { type: 'ref/prompt', name: 'p' } })
    expect(c.problems[0]?.message).toContain('prompts.rename names what it does not offer: "gone"')
  })
  it('leaves one odd item out, not its list', () => {
    const c = catalog([member('a', { tools: [null, 'x', 7, {}, { name: 5 }, { name: '' }, 'y', 'x'], prompts: [[], 'p'] })])
    expect(names(c.tools)).toEqual(['a__x', 'a__y'])
    expect(names(c.prompts)).toEqual(['a__p'])
    expect(codes(c).sort()).toEqual(['ITEM_INVALID', 'ITEM_INVALID', 'NAME_DUPLICATE'])
  })
  it('says which names it had to change, in one line', () => {
    const c = catalog([member('a', { tools: ['a b', 'c d', 'e f', 'g h', 'fine'] })])
    expect(c.problems).toHaveLength(1)
    expect(c.problems[0]).toMatchObject({ code: 'NAME_CHANGED', severity: 'notice' })
    expect(c.problems[0]?.message).toMatch(/^a: .*"a b" is "a__a_b_[0-9a-z]{6}".* and 1 more$/)
    expect(c.tool(String(names(c.tools)[0]))).toEqual(route('a', 'a b'))
  })
  it('quotes servers harmlessly', () => {
    const c = catalog([member('a', { tools: [`\u001b[31m\u202e${'x'.repeat(1000)}`] })])
    expect(c.problems[0]?.message).toMatch(/^[\x20-\x7e…]+$/)
    expect(c.problems[0]?.message.length).toBeLessThan(300)
  })
})

describe('rules', () => {
  it('describes by the server’s own name first, whose name another one may have got', () => {
    const rules = { tools: { rename: { get: 'set', set: 'get' }, describe: { get: 'reads', set: 'writes' } } }
    const c = catalog([member('a', { tools: ['get', 'set'] }, rules)])
    expect(c.tools).toEqual([{ name: 'a__set', description: 'reads' }, { name: 'a__get', description: 'writes' }])
  })
  it('filters, renames and describes', () => {
    const tools = [
      { name: 'read_text_file', description: 'old' },
      { name: 'read_secret' },
      { name: 'write' },
      { name: 'read_x', description: 'x' },
    ]
    const rules = {
      tools: { include: ['read_*'], exclude: ['*secret'], rename: { read_text_file: 'read' }, describe: { read: 'new' } },
    }
    const c = catalog([member('a', { tools }, rules)])
    expect(c.tools).toEqual([
      { name: 'a__read', description: 'new' },
      { name: 'a__read_x', description: 'x' },
    ])
    expect(c.tool('a__read')).toEqual(route('a', 'read_text_file'))
    expect(c.tool('a__read_secret')).toBeUndefined()
    expect(c.tool('read_secret')).toBeUndefined()
  })
  it('finds a description by public, replaced or own name', () => {
    const described = (key: string) =>
      catalog([member('a', { tools: ['x'] }, { tools: { rename: { x: 'y' }, describe: { [key]: key } } })]).tools[0]?.[
        'description'
      ]
    expect(['a__y', 'y', 'x', 'z'].map(described)).toEqual(['a__y', 'y', 'x', undefined])
  })
  it('is not fooled by names that every object has', () => {
    const own = ['constructor', 'toString', '__proto__', 'hasOwnProperty']
    const c = catalog([member('a', { tools: own }, { tools: { rename: { x: 'y' }, describe: { x: 'y' } } })])
    expect(names(c.tools)).toEqual(own.map(name => `a__${name}`))
    expect(c.tools.every(tool => tool['description'] === undefined)).toBe(true)
  })
  it('says when a rename meets nothing, once the backend is known', () => {
    const rules = { tools: { rename: { gone: 'y' } } }
    expect(codes(catalog([member('a', { tools: ['x'] }, rules)]))).toEqual(['RULE_UNMATCHED'])
    expect(codes(catalog([member('a', undefined, rules)]))).toEqual([])
  })
  it('filters prompts and resources, from reading too', () => {
    const rules = {
      prompts: { exclude: ['debug_*'] },
      resources: { include: ['file:///docs/*', 'db://{id}'], exclude: ['*secret*'] },
    }
    const wares = {
      prompts: ['p', 'debug_p'],
      resources: ['file:///docs/a', 'file:///etc/b', 'file:///docs/secret'],
      templates: ['db://{id}', 'x://{id}'],
    }
    const c = catalog([member('a', wares, rules), member('b', { resources: ['b://x'] })])
    expect(names(c.prompts)).toEqual(['a__p'])
    expect(names(c.resources)).toEqual(['file:///docs/a', 'b://x'])
    expect(names(c.templates)).toEqual(['db://{id}'])
    expect(c.resource('file:///docs/a')).toEqual({ alias: 'a', own: 'file:///docs/a' })
    expect(c.resource('db://7')).toEqual({ alias: 'a', own: 'db://7' })
    for (const uri of [
      'file:///docs/secret',
      'file:///etc/b',
      'db://secret',
      'x://7',
      'mcp-proxy://a/file:///etc/b',
      'mcp-proxy://a/db://secret',
    ]) {
      expect(c.resource(uri)).toBeUndefined()
      expect(c.candidates(uri)).toEqual([])
    }
    expect(c.resource('mcp-proxy://a/db://7')).toEqual({ alias: 'a', own: 'db://7' })
    expect(c.ref({ type: 'ref/prompt', name: 'a__debug_p' })).toBeUndefined()
  })
  const isRead = (uri: string, resources: object) => {
    const c = catalog([member('a', { resources: ['fs://one'], templates: ['fs://{+path}'] }, { resources })])
    return c.resource(uri) !== undefined || c.candidates(uri).length > 0
  }
  it('hides a resource of a scheme of the server’s own however its URI is spelt', () => {
    for (const uri of ['fs://secret/x', 'fs://data/../secret/x', 'fs://data//../secret', 'fs://./secret', 'fs://data%2f..%2fsecret', 'fs://data/x?/../../secret'])
      expect(isRead(uri, { exclude: ['fs://secret*'] }), uri).toBe(false)
    expect(isRead('fs://a//b', { exclude: ['fs://a/b'] })).toBe(false)
    for (const uri of ['fs://data/../secret/x', 'fs://data/x/../../secret', 'fs://data/..', 'fs://data/..?x'])
      expect(isRead(uri, { include: ['fs://data/*', 'fs://{no'] }), uri).toBe(false)
  })
  it('hides it with a slash or a fragment behind it too, and what a hidden template makes in any spelling', () => {
    for (const uri of ['fs://a/key/', 'fs://a/key#x', 'fs://a/key//', 'fs://a/key/.#']) expect(isRead(uri, { exclude: ['fs://a/key'] }), uri).toBe(false)
    for (const uri of ['fs://a/keys', 'fs://a/key?x', 'fs://a/']) expect(isRead(uri, { exclude: ['fs://a/key'] }), uri).toBe(true)
    const c = catalog([member('a', { resources: ['db://one'], templates: ['db://main/{table}', 'db://main/{table}/rows'] }, { resources: { exclude: ['db://main/{table}'] } })])
    for (const uri of ['db://main/x', 'DB://main/x', 'db://main//x', 'db://main/./x', 'db://main/x/', 'db://main/x#y']) expect(c.candidates(uri), uri).toEqual([])
    for (const uri of ['db://main/x/rows', 'db://main/x%2Fy/rows', 'db://main', 'db://else/x']) expect(c.resource(uri) ?? c.candidates(uri)[0], uri).toBeDefined()
  })
  it('spends no time on URIs made to cost some', () => {
    const uris = ['%2e%ff/', '../', '%ff', '//', '?#', 'a%2f..'].map(part => `fs://${part.repeat(2_000_000 / part.length)}`)
    expect(costMs(() => uris.forEach(uri => expect(isRead(uri, { exclude: ['fs://secret*'] })).toBe(false)))).toBeLessThan(200)
    const longest = uris.map(uri => uri.slice(0, 65_536))
    expect(costMs(() => longest.forEach(uri => isRead(uri, { exclude: ['fs://secret*'] })))).toBeLessThan(400)
  })
  it('hides nothing else for how its URI is spelt', () => {
    for (const uri of [
      'fs://./read.me', 'fs://.', 'fs://data/./x', 'fs://data/x?of=/./y', 'fs://data/x?of=http://h/../y', 'fs://data/x#/../y', 'doc:a/../b', 'data:text/plain,a/../b', 'urn:isbn:1',
      'fs:///x', 'fs://é/ü', 'fs://%C3%A9/%zz', 'a/./b', '{}', 'fs://h/{x}', 'FS://H/x', 'fs://[bad/../x',
    ])
      expect(isRead(uri, { exclude: ['fs://secret*'] }), uri).toBe(uri.startsWith('fs') || uri.startsWith('FS') || isRead(uri, {}))
    for (const uri of ['fs://data/x/../y', 'fs://data/./x', 'fs://data/x/.', 'fs://data/x?of=/./y', 'fs://data/a%20b']) expect(isRead(uri, { include: ['fs://data/*'] }), uri).toBe(true)
  })
})

describe('names, whatever backends and items there are', () => {
  const alias = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9-]{0,31}$/)
  const own = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^[a-z_]{1,90}$/),
    fc.constantFrom('x', 'y', 'a b', 'a.b'),
  )
  const member_ = fc.record({ alias, tools: fc.array(own, { maxLength: 8 }) })
  const setup = fc.uniqueArray(member_, { selector: m => m.alias, minLength: 1, maxLength: 6 })
  const build = (list: { alias: string; tools: string[] }[], prefix: 'always' | 'onClash' | 'never' = 'always') =>
    catalog(
      list.map(m => member(m.alias, { tools: m.tools })),
      prefix,
    )

  it('are legal, unique and lead back', () => {
    fc.assert(
      fc.property(setup, fc.constantFrom('always', 'onClash', 'never'), (list, prefix) => {
        const c = build(list, prefix)
        const shown = names(c.tools) as string[]
        expect(new Set(shown).size).toBe(shown.length)
        for (const name of shown) {
          expect(name).toMatch(/^[A-Za-z0-9_-]{1,64}$/)
          const found = c.tool(name)
          expect(list.find(m => m.alias === found?.alias)?.tools).toContain(found?.own)
        }
        const collided = c.problems.filter(({ code }) => code === 'NAME_COLLISION')
        const distinct = list.reduce((sum, m) => sum + new Set(m.tools.filter(name => name !== '')).size, 0)
        if (collided.length === 0) expect(shown.length).toBe(distinct)
        if (prefix === 'always') expect(collided).toEqual([])
      }),
    )
  })
  it('stay the same when others are added, taken away or moved', () => {
    const scene = setup.chain(list => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: 1 })))
    fc.assert(
      fc.property(scene, ([all, some]) => {
        const [whole, part] = [build(all), build(some)]
        for (const name of names(part.tools) as string[]) {
          const { alias, own, item } = part.tool(name) ?? {}
          expect(whole.tool(name)).toEqual({ alias, own, item, name })
        }
        const kept = (names(whole.tools) as string[]).filter(name => some.some(m => m.alias === whole.tool(name)?.alias))
        expect(kept.sort()).toEqual((names(part.tools) as string[]).sort())
      }),
    )
  })
})

describe('URIs', () => {
  const a = { resources: ['file:///both', 'file:///a'], templates: ['t:///{x}', 'a:///{+x}'], prompts: ['p'] }
  const b = { resources: ['file:///both', 'file:///b'], templates: ['t:///{x}', 'a:///deep/{x}'] }
  const both = (links?: Links) => catalog([member('a', a), member('b', b)], 'always', links)

  it('keeps them unless two backends clash; config order decides', () => {
    const c = both()
    expect(names(c.resources)).toEqual(['file:///both', 'file:///a', 'mcp-proxy://b/file:///both', 'file:///b'])
    expect(names(c.templates)).toEqual(['t:///{x}', 'a:///{+x}', 'mcp-proxy://b/t:///{x}', 'a:///deep/{x}'])
    expect(codes(c)).toEqual(['URI_CLASH', 'URI_CLASH'])
    expect(c.problems[0]).toMatchObject({ severity: 'notice', aliases: ['b'] })
    expect(names(catalog([member('b', b), member('a', a)]).resources)[2]).toBe('mcp-proxy://a/file:///both')
  })
  it('leads every listed URI and template back', () => {
    const c = both()
    expect(c.resource('file:///both')).toEqual({ alias: 'a', own: 'file:///both' })
    expect(c.resource('mcp-proxy://b/file:///both')).toEqual({ alias: 'b', own: 'file:///both' })
    expect(c.resource('file:///b')).toEqual({ alias: 'b', own: 'file:///b' })
    expect(c.resource('t:///1')).toEqual({ alias: 'a', own: 't:///1' })
    expect(c.resource('mcp-proxy://b/t:///1')).toEqual({ alias: 'b', own: 't:///1' })
  })
  it('prefers the template that says more', () => {
    const c = both()
    expect(c.resource('a:///deep/1')).toEqual({ alias: 'b', own: 'a:///deep/1' })
    expect(c.resource('a:///deep/1/2')).toEqual({ alias: 'a', own: 'a:///deep/1/2' })
  })
  it('still reads a namespaced URI when the clash is gone, and in another case of the host', () => {
    const c = catalog([member('Files', a), member('b', { tools: ['x'] })])
    expect(c.resource('mcp-proxy://Files/file:///a')).toEqual({ alias: 'Files', own: 'file:///a' })
    expect(c.resource('mcp-proxy://files/file:///a')).toEqual({ alias: 'Files', own: 'file:///a' })
    expect(c.resource('mcp-proxy://gone/file:///a')).toBeUndefined()
  })
  it('maps nothing while one backend alone serves resources', () => {
    const c = catalog([member('a', a), member('b', { tools: ['x'] })])
    expect(c.mapsUris('a')).toBe(false)
    expect(c.publicUri('a', 'file:///unlisted')).toBe('file:///unlisted')
    expect(c.candidates('any://thing')).toEqual(['a'])
    expect(both().mapsUris('a')).toBe(true)
  })
  it('counts a server that declares resources and lists none', () => {
    const c = catalog([member('a', a), member('b', { capabilities: { resources: {} } }), member('c', { tools: ['x'] })])
    expect(c.mapsUris('b')).toBe(true)
    expect(c.mapsUris('c')).toBe(false)
    // What cannot be read from its sender is not made to look as if it could.
    expect(c.publicUri('c', 'file:///a')).toBe('file:///a')
  })
  it('shows a URI of our own shape only namespaced, so that gateways nest', () => {
    const inner = { resources: ['mcp-proxy://a/file:///x', 'ui://mcp-proxy.a/x'] }
    const c = catalog([member('a', a), member('inner', inner)])
    expect(names(c.resources).slice(-2)).toEqual([
      'mcp-proxy://inner/mcp-proxy://a/file:///x',
      'ui://mcp-proxy.inner/mcp-proxy.a/x',
    ])
    expect(c.resource('ui://mcp-proxy.inner/mcp-proxy.a/x')).toEqual({ alias: 'inner', own: 'ui://mcp-proxy.a/x' })
    const alone = catalog([member('inner', inner)])
    expect(names(alone.resources)).toEqual(inner.resources)
    expect(alone.resource('mcp-proxy://a/file:///x')).toEqual({ alias: 'inner', own: 'mcp-proxy://a/file:///x' })
  })
  it('leaves out what has no URI and keeps what is listed twice', () => {
    const c = catalog([
      member('a', { resources: ['x:1', {}, null, { uri: 5 }, { uri: 'x:1', name: 'again' }], templates: [{ name: 't' }] }),
    ])
    expect(names(c.resources)).toEqual(['x:1', 'again'])
    expect(c.templates).toEqual([])
    expect(codes(c)).toEqual(['ITEM_INVALID', 'ITEM_INVALID'])
  })

  it('remembers links that nobody lists, across catalogs', () => {
    const links = new Links()
    expect(both(links).publicUri('b', 'blob:1')).toBe('blob:1')
    expect(both(links).resource('blob:1')).toEqual({ alias: 'b', own: 'blob:1' })
    expect(both(links).publicUri('a', 'blob:1')).toBe('mcp-proxy://a/blob:1')
    expect(both(links).publicUri('b', 'blob:1')).toBe('blob:1')
    // Whoever lists it later owns it; whoever is gone does not.
    expect(catalog([member('a', { resources: ['blob:1'] }), member('b', b)], 'always', links).resource('blob:1')?.alias).toBe('a')
    expect(catalog([member('a', a), member('c', b)], 'always', links).resource('blob:1')).toBeUndefined()
  })
  it('never lets a link pass for what another backend lists', () => {
    const c = both()
    expect(c.publicUri('b', 'file:///a')).toBe('mcp-proxy://b/file:///a')
    expect(c.publicUri('b', 'a:///x')).toBe('mcp-proxy://b/a:///x')
    expect(c.publicUri('a', 'a:///x')).toBe('a:///x')
  })
  it('offers candidates by scheme for what nobody knows', () => {
    const c = both()
    expect(c.candidates('file:///unknown')).toEqual(['a', 'b'])
    expect(c.candidates('A:///unknown')).toEqual(['a', 'b'])
    expect(c.candidates('other:///unknown')).toEqual([])
    expect(c.candidates('mcp-proxy://b/x')).toEqual([])
    expect(catalog([]).candidates('file:///x')).toEqual([])
  })
  it('whatever a backend calls a resource, the public URI leads back to it', () => {
    const uri = fc.oneof(
      fc.constantFrom(
        'file:///a',
        'file:///b',
        'ui://x/y',
        'ui://mcp-proxy.a/y',
        'mcp-proxy://a/file:///a',
        't:///1',
        'nobody:1',
      ),
      fc.webUrl(),
      fc.string({ minLength: 1 }),
    )
    const wares = fc.record({
      resources: fc.array(uri, { maxLength: 5 }),
      templates: fc.subarray(['t:///{x}', 'ui://{+x}', '{+any}', 'file:///{x}']),
    })
    fc.assert(
      fc.property(wares, wares, wares, fc.array(fc.tuple(fc.constantFrom('a', 'b', 'C.c'), uri)), (x, y, z, said) => {
        const c = catalog([member('a', x), member('b', y), member('C.c', z)])
        const offers = { a: x, b: y, 'C.c': z }
        const listed = Object.entries(offers).flatMap(([alias, o]) => o.resources.map(own => [alias, own] as const))
        expect(c.resources.map(item => c.resource(String(item['uri'])))).toEqual(listed.map(([alias, own]) => ({ alias, own })))
        for (const [alias, own] of said) {
          const shown = c.publicUri(alias, own)
          if (c.mapsUris(alias)) expect(c.resource(shown)).toEqual({ alias, own })
          else expect(shown).toBe(own)
        }
      }),
    )
  })
})

describe('Apps', () => {
  const tool = (uri: string, flat = uri) => ({
    name: 'show',
    _meta: { ui: { resourceUri: uri, visibility: ['app'] }, 'ui/resourceUri': flat, x: 1 },
  })

  it('rewrites both keys of a tool together with the resource it points to', () => {
    const c = catalog([
      member('a', { tools: [tool('ui://view')], resources: ['ui://view'] }),
      member('b', { tools: [tool('ui://view')], resources: ['ui://view'] }),
    ])
    expect(c.tools[0]).toEqual({ ...tool('ui://view'), name: 'a__show' })
    expect(c.tools[1]).toEqual({ ...tool('ui://mcp-proxy.b/view'), name: 'b__show' })
    expect(names(c.resources)).toEqual(['ui://view', 'ui://mcp-proxy.b/view'])
  })
  it('finds a view that only a tool names', () => {
    const c = catalog([
      member('a', { tools: [tool('ui://view')] }),
      member('b', { tools: [tool('ui://view'), { ...tool('ui://other'), name: 'y' }] }),
    ])
    expect(c.resource('ui://view')).toEqual({ alias: 'a', own: 'ui://view' })
    expect(c.resource('ui://mcp-proxy.b/view')).toEqual({ alias: 'b', own: 'ui://view' })
    expect(c.resource('ui://other')).toEqual({ alias: 'b', own: 'ui://other' })
  })
  it('lets an include list for resources not cut a tool off its view, but an exclude', () => {
    const wares = { tools: [tool('ui://view')], resources: ['file:///a'] }
    const other = member('b', { resources: ['x:1'] })
    expect(catalog([member('a', wares, { resources: { include: ['file:*'] } }), other]).resource('ui://view')?.alias).toBe('a')
    expect(catalog([member('a', wares, { resources: { exclude: ['ui:*'] } }), other]).resource('ui://view')).toBeUndefined()
  })
})

describe('completion references', () => {
  const c = catalog([
    member('a', { prompts: ['p'], templates: ['t:///{x}', 'a:///{y}'], resources: ['r:1'] }),
    member('b', { prompts: ['p'], templates: ['t:///{x}'], resources: ['r:1'] }),
  ])
  it.each([
    [{ type: 'ref/prompt', name: 'b__p', title: 'P' }, 'b', { type: 'ref/prompt', name: 'p', title: 'P' }],
    [{ type: 'ref/resource', uri: 't:///{x}' }, 'a', { type: 'ref/resource', uri: 't:///{x}' }],
    [{ type: 'ref/resource', uri: 'mcp-proxy://b/t:///{x}' }, 'b', { type: 'ref/resource', uri: 't:///{x}' }],
    [{ type: 'ref/resource', uri: 'mcp-proxy://b/r:1' }, 'b', { type: 'ref/resource', uri: 'r:1' }],
    [{ type: 'ref/resource', uri: 'a:///{z}' }, 'a', { type: 'ref/resource', uri: 'a:///{z}' }],
  ])('%j belongs to %s', (ref, alias, own) => expect(c.ref(ref)).toEqual({ alias, ref: own }))

  it.each([
    undefined,
    null,
    'p',
    {},
    { type: 'ref/prompt', name: 'p' },
    { type: 'ref/resource' },
    { type: 'ref/resource', uri: 'z:{x}' },
    { type: 'ref/other', name: 'a__p' },
  ])('%j belongs to nobody', ref => expect(c.ref(ref)).toBeUndefined())
})

describe('freshness', () => {
  const fresh = (ttlMs: number, scope: 'public' | 'private') => ({ freshness: { ttlMs, scope } })
  it('is the strictest of all, and nothing unless all say so', () => {
    expect(catalog([member('a', fresh(5, 'public')), member('b', fresh(9, 'private'))]).freshness).toEqual({
      ttlMs: 5,
      scope: 'private',
    })
    expect(catalog([member('a', fresh(9, 'private')), member('b', fresh(5, 'public'))]).freshness).toEqual({
      ttlMs: 5,
      scope: 'private',
    })
    expect(catalog([member('a', fresh(5, 'public')), member('b', {})]).freshness).toBeUndefined()
    expect(catalog([member('a', fresh(5, 'public')), member('b', undefined)]).freshness).toBeUndefined()
    expect(catalog([]).freshness).toBeUndefined()
  })
})

describe('real differences', () => {
  const base = { tools: [{ name: 'x', a: { b: [1, 2], c: 3 } }], prompts: ['p'], resources: ['r:1'], templates: ['t:{x}'] }
  const same = (wares: object) => sameSurface(catalog([member('a', base)]), catalog([member('a', { ...base, ...wares })]))

  it('sees none in a copy or in another order of keys', () => {
    expect(same(structuredClone(base))).toEqual({ tools: true, prompts: true, resources: true })
    expect(same({ tools: [{ a: { c: 3, b: [1, 2] }, name: 'x' }] }).tools).toBe(true)
  })
  it.each([
    [{ tools: [] }, 'tools'],
    [{ tools: [{ name: 'x', a: { b: [2, 1], c: 3 } }] }, 'tools'],
    [{ tools: [{ name: 'x', a: { b: [1, 2], c: 3, d: null } }] }, 'tools'],
    [{ tools: [{ name: 'x', a: { b: { 0: 1, 1: 2 }, c: 3 } }] }, 'tools'],
    [{ tools: [{ name: 'x', a: null }] }, 'tools'],
    [{ prompts: ['q'] }, 'prompts'],
    [{ resources: ['r:2'] }, 'resources'],
    [{ templates: [] }, 'resources'],
  ])('%j differs in %s', (wares, list) => {
    const all = { tools: true, prompts: true, resources: true }
    expect(same(wares)).toEqual({ ...all, [list]: false })
  })
  it('compares however deep a server nests', () => {
    const deep = () => {
      let value: unknown = 1
      for (let i = 0; i < 100_000; i++) value = [value]
      return { tools: [{ name: 'x', value }] }
    }
    expect(sameSurface(catalog([member('a', deep())]), catalog([member('a', deep())])).tools).toBe(true)
  })
})

describe('size', () => {
  it('builds 50 backends × 1,000 tools quickly and finds any of them at once', () => {
    const tools = Array.from({ length: 1000 }, (_, i) => ({
      name: `tool_${i}`,
      description: 'd',
      inputSchema: { type: 'object' },
    }))
    const members = Array.from({ length: 50 }, (_, i) => member(`backend-${i}`, { tools, resources: [`file:///${i}`] }))
    const before = processorMs()
    const c = buildCatalog(members, options)
    expect(processorMs() - before).toBeLessThan(1000)
    expect(c.tools).toHaveLength(50_000)
    expect(costMs(() => {
      for (let i = 0; i < 100_000; i++) c.tool('backend-49__tool_999')
    })).toBeLessThan(200)
  })
  it('tells of thousands of odd items in a few lines', () => {
    const tools = Array.from({ length: 2000 }, (_, i) => (i % 2 ? null : { name: `a b ${i}` }))
    expect(catalog([member('a', { tools })]).problems).toHaveLength(2)
    const clashing = Array.from({ length: 500 }, (_, i) => `t${i}`)
    expect(catalog([member('a', { tools: clashing }), member('b', { tools: clashing })], 'never').problems).toHaveLength(101)
  })
})
