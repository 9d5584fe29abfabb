/** The list of tools as a client can take it: what offends, and nothing else, is changed. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { clientIds } from '../../../src/clients/client.ts'
import type { JsonObject } from '../../../src/gateway/contract.ts'
import { fit } from '../../../src/gateway/fit.ts'
import { isPlain, plainSchema } from '../../../src/gateway/plain-schema.ts'
import { clientCalled, fittingOf, knownClients, type ClientLimits } from '../../../src/gateway/profiles.ts'

const limits = (own: ClientLimits, prefixLength = 0) => ({ id: 'x', title: 'X', prefixLength, ...own })
const tool = (name: string, more: JsonObject = {}): JsonObject => ({ name, inputSchema: { type: 'object' }, ...more })

describe('known clients', () => {
  it('are those that can be installed into', () => {
    expect(knownClients.map(({ id }) => id).sort()).toEqual([...clientIds].sort())
  })

  it.each([
    ['claude-ai', 'claude-desktop'],
    ['claude-code', 'claude-code'],
    ['cursor-vscode', 'cursor'],
    ['Cursor', 'cursor'],
    ['Visual Studio Code', 'vscode'],
    ['Visual Studio Code - Insiders', 'vscode-insiders'],
    ['windsurf-client', 'windsurf'],
    ['Zed', 'zed'],
    ['codex-mcp-client', 'codex'],
    ['gemini-cli-mcp-client-hub', 'gemini'],
  ])('%s is %s', (name, id) => expect(clientCalled(name)?.id).toBe(id))

  it.each(['', 'test', 'cursorless', 'mcp-inspector', 'zedd', 'my cursor'])('%j is nobody we know', name => expect(clientCalled(name)).toBeUndefined())

  it('leave Cursor what it counts: server, a sign, tool', () => {
    expect(fittingOf(clientCalled('cursor')!, 'posthog')).toMatchObject({ prefixLength: 8, nameLength: 60 })
  })
})

describe('fit', () => {
  it('gives the very list back when nothing offends', () => {
    const tools = [tool('a'), tool('b', { description: 'x' })]
    const everything = limits({ nameLength: 60, tools: 80, description: 2048, plainSchemas: true })
    expect(fit(tools, everything)).toEqual({ tools, names: new Map(), changes: [] })
    expect(fit(tools, everything).tools).toBe(tools)
  })

  it('shortens only names that are too long with what the client puts before, always alike', () => {
    const long = `files__${'read_the_whole_text_'.repeat(3)}file`
    const tools = [tool('files__ok'), tool(long)]
    const { tools: shown, names, changes } = fit(tools, limits({ nameLength: 60 }, 12))
    const short = String(shown[1]!['name'])
    expect(shown[0]).toBe(tools[0])
    expect(short).toMatch(/^files__read_[\w-]+$/)
    expect(short.length).toBeLessThanOrEqual(48)
    expect(names).toEqual(new Map([[short, long]]))
    expect(changes).toEqual([{ name: long, kind: 'renamed', shown: short, why: expect.stringContaining('60 characters, 12 of which') }])
    expect(fit([tool(long)], limits({ nameLength: 60 }, 12)).names).toEqual(names)
  })

  it('holds back what comes after the cap, in the order of the config', () => {
    const { tools, changes } = fit([tool('a'), tool('b'), tool('c')], limits({ tools: 2 }))
    expect(tools.map(({ name }) => name)).toEqual(['a', 'b'])
    expect(changes).toMatchObject([{ name: 'c', kind: 'held', why: expect.stringContaining('takes 2 tools') }])
  })

  it('cuts descriptions at a word', () => {
    const { tools, changes } = fit([tool('a', { description: 'word '.repeat(100) })], limits({ description: 64 }))
    expect(tools[0]!['description']).toMatch(/^(word )+…$/)
    expect(String(tools[0]!['description']).length).toBeLessThanOrEqual(64)
    expect(changes).toMatchObject([{ kind: 'shortened', why: expect.stringContaining('500') }])
  })

  it('writes references out, leaves other schemas alone, and does not count a held tool', () => {
    const bomb: JsonObject = { type: 'object', $defs: {}, $ref: '#/$defs/n0' }
    for (let i = 0; i < 20; i++) (bomb['$defs'] as JsonObject)[`n${i}`] = { properties: { a: { $ref: `#/$defs/n${i + 1}` }, b: { $ref: `#/$defs/n${i + 1}` } } }
    const tools = [tool('bomb', { inputSchema: bomb }), tool('ref', { inputSchema: { properties: { a: { $ref: '#/$defs/A' } }, $defs: { A: { type: 'string' } } } }), tool('last')]
    const { tools: shown, changes } = fit(tools, limits({ plainSchemas: true, tools: 2 }))
    expect(shown).toEqual([tool('ref', { inputSchema: { properties: { a: { type: 'string' } } } }), tools[2]])
    expect(changes.map(({ name, kind }) => [name, kind])).toEqual([['bomb', 'held'], ['ref', 'rewritten']])
  })

  it('never shows two tools of one name, and leads every shown name back', () => {
    const name = fc.string({ unit: fc.constantFrom('a', 'b', '_'), minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(fc.uniqueArray(name, { maxLength: 30 }), fc.integer({ min: 16, max: 40 }), (own, nameLength) => {
        const { tools, names, changes } = fit(own.map(one => tool(one)), limits({ nameLength }))
        const shown = tools.map(one => String(one['name']))
        expect(new Set(shown).size).toBe(shown.length)
        for (const one of shown) {
          expect(one.length).toBeLessThanOrEqual(nameLength)
          expect(own).toContain(names.get(one) ?? one)
        }
        expect(shown.length + changes.filter(({ kind }) => kind === 'held').length).toBe(own.length)
      }),
    )
  })
})

describe('plainSchema', () => {
  it.each<[string, JsonObject, JsonObject, number]>([
    ['$schema goes', { $schema: 'http://x', type: 'object' }, { type: 'object' }, 0],
    ['what stands beside a reference stays', { $ref: '#/definitions/a', title: 't', definitions: { a: { type: 'string' } } }, { type: 'string', title: 't' }, 0],
    ['properties may be called so', { properties: { $ref: { type: 'string' }, $defs: { type: 'number' } } }, { properties: { $ref: { type: 'string' }, $defs: { type: 'number' } } }, 0],
    ['values are no schemas', { default: { $ref: '#/x' }, enum: [{ $schema: 1 }] }, { default: { $ref: '#/x' }, enum: [{ $schema: 1 }] }, 0],
    ['what leads back takes anything', { properties: { child: { $ref: '#' } } }, { properties: { child: { properties: { child: {} } } } }, 1],
    ['nothing is fetched', { $ref: 'https://x.example/s.json' }, {}, 1],
    ['pointers are unescaped', { $ref: '#/$defs/a~1b%20c', $defs: { 'a/b c': { type: 'null' } } }, { type: 'null' }, 0],
  ])('%s', (_, schema, plain, loosened) => {
    expect(plainSchema(schema)).toEqual({ schema: plain, loosened })
    expect(isPlain(plain)).toBe(true)
  })

  it('is asked for only where there is a reference', () => {
    const tools = [tool('a', { inputSchema: { $schema: 'x', enum: [{ $ref: '#' }], properties: { $ref: {} } } })]
    expect(fit(tools, limits({ plainSchemas: true })).tools).toBe(tools)
  })

  it('leaves no reference behind', () => {
    const { schema } = fc.letrec(tie => ({
      schema: fc.oneof(
        { maxDepth: 4 },
        fc.constant({ type: 'string' }),
        fc.record({ $ref: fc.constantFrom('#', '#/$defs/a', '#/$defs/b', '#/nowhere') }),
        fc.record({ anyOf: fc.array(tie('schema'), { maxLength: 3 }) }),
        fc.record({ properties: fc.dictionary(fc.constantFrom('x', '$ref', 'y'), tie('schema')) }),
      ),
    }))
    fc.assert(
      fc.property(schema, schema, schema, (root, a, b) => {
        const plain = plainSchema({ ...(root as JsonObject), $defs: { a, b } })
        if (plain) expect(isPlain(plain.schema)).toBe(true)
      }),
    )
  })
})
