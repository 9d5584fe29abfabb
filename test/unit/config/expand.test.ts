/** Substitution: what each form becomes, what is refused, and that nothing is ever substituted twice. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expandText, expandTree, type Lookup } from '../../../src/config/expand.ts'
import { McpError } from '../../../src/gateway/errors.ts'

let base: string
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'expand-'))
  writeFileSync(join(base, 'token'), 'from-file\n')
  writeFileSync(join(base, 'lines'), 'one\ntwo\r\n')
  writeFileSync(join(base, 'marked'), '\ufefffrom-windows\r\n')
  writeFileSync(join(base, 'wide'), Buffer.from('\ufeffx\r\n', 'utf16le'))
  writeFileSync(join(base, 'large'), 'x'.repeat(65_537))
})
afterAll(() => rmSync(base, { recursive: true }))

const lookup = (env: Record<string, string> = {}, stored: Record<string, string> = {}): Lookup => ({
  env,
  base,
  credential: name => stored[name],
})

describe('a reference', () => {
  const env = { HOST: 'example.com', EMPTY: '', GITHUB_TOKEN: 'ghp', SHARED: 'env', 'odd(x86)': 'odd' }
  it.each([
    ['plain', 'plain'],
    ['https://${HOST}/mcp', 'https://example.com/mcp'],
    ['${HOST}${HOST}', 'example.comexample.com'],
    ['${env:HOST}', 'example.com'],
    ['${env:odd(x86)}', 'odd'],
    ['${NONE:-fallback}', 'fallback'],
    ['${NONE:-}', ''],
    ['${EMPTY}', ''],
    ['${EMPTY:-fallback}', 'fallback'],
    ['${env:NONE:-a:-b}', 'a:-b'],
    ['${file:token}', 'from-file'],
    ['${file:lines}', 'one\ntwo'],
    ['${file:marked}', 'from-windows'],
    ['${file:none:-fallback}', 'fallback'],
    ['Bearer ${cred:github}', 'Bearer stored'],
    ['${cred:SHARED}', 'stored'],
    ['${cred:HOST}', 'example.com'],
    ['${cred:none:-fallback}', 'fallback'],
    ['$${HOST}', '${HOST}'],
    ['$$${HOST}', '$${HOST}'],
    ['$HOST $', '$HOST $'],
    ['100%', '100%'],
  ])('%s becomes %s', (text, value) => {
    expect(expandText(text, lookup(env, { github: 'stored', SHARED: 'stored' })).value).toBe(value)
  })

  it.each([
    ['${NONE}', 'UNSET_VARIABLE', /NONE is not set/],
    ['${env:NONE}', 'UNSET_VARIABLE', /NONE is not set/],
    ['${constructor}', 'UNSET_VARIABLE', /constructor/],
    ['${workspaceFolder}', 'UNSET_VARIABLE', /workspaceFolder/],
    ['${}', 'BAD_REFERENCE', /names no variable/],
    ['${a b}', 'BAD_REFERENCE', /names no variable/],
    ['${env:}', 'BAD_REFERENCE', /names no variable/],
    ['${input:key}', 'BAD_REFERENCE', /input.* is not supported/],
    ['${HOST', 'BAD_REFERENCE', /never closed/],
    ['${NONE:-${HOST}}', 'BAD_REFERENCE', /nested/],
    ['${cred:none}', 'UNKNOWN_CREDENTIAL', /no credential none/],
    ['${cred:a b}', 'BAD_REFERENCE', /names no credential/],
    ['${file:none}', 'MISSING_FILE', /there is no file/],
    ['${file:}', 'BAD_REFERENCE', /names no file/],
    ['${file:.}', 'MISSING_FILE', /is no file/],
    ['${file:large}', 'MISSING_FILE', /64 KiB/],
    // What `>` of an older PowerShell writes.
    ['${file:wide}', 'MISSING_FILE', /is UTF-16/],
  ])('%s is refused as %s', (text, code, message) => {
    const { value, troubles } = expandText(text, lookup(env))
    expect(value).toBeUndefined()
    expect(troubles).toHaveLength(1)
    expect(troubles[0]).toMatchObject({ code, message: expect.stringMatching(message) as string })
  })

  it('reports every reference of a text that fails', () => {
    expect(expandText('${A}-${B}', lookup()).troubles).toHaveLength(2)
  })

  it('gathers what must not be shown, and the files it read', () => {
    const { secrets, files } = expandText(
      '${HOST} ${GITHUB_TOKEN} ${file:token} ${cred:x} ${cred:none:-shown}',
      lookup(env, { x: 'stored' }),
    )
    expect(secrets).toEqual(['ghp', 'from-file', 'stored'])
    expect(files).toEqual([join(base, 'token')])
  })

  it('passes on why credentials cannot be had', () => {
    const unsafe = new McpError('CREDENTIALS_UNSAFE', 'others can read it', { hint: 'chmod 600' })
    const { troubles } = expandText('${cred:x:-y}', {
      ...lookup(),
      credential: () => {
        throw unsafe
      },
    })
    expect(troubles).toEqual([{ code: 'CREDENTIALS_UNSAFE', message: 'others can read it', hint: 'chmod 600' }])
  })
})

describe('as a language', () => {
  const variable = fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,8}$/)

  it('leaves text without references alone', () => {
    fc.assert(
      fc.property(
        fc.string().filter(text => !text.includes('${')),
        text => void expect(expandText(text, lookup()).value).toBe(text),
      ),
    )
  })

  it('gives any text back when its references are escaped', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('$', '{', '}', '${', '$${', 'A', ':-', 'x')).map(parts => parts.join('')),
        text => {
          // An escape takes the dollar before it, so one is added in front of every reference.
          expect(
            expandText(
              text.replaceAll('${', () => '$${'),
              lookup({ A: 'no' }),
            ).value,
          ).toBe(text)
        },
      ),
    )
  })

  it('never looks at what it has put in', () => {
    fc.assert(
      fc.property(
        variable,
        fc.string(),
        fc.string().filter(text => !/[$]/.test(text)),
        (name, value, around) => {
          const sly = `${value}\${${name}}$\${x}\${file:/etc/passwd}`
          expect(expandText(`${around}\${${name}}${around}`, lookup({ [name]: sly })).value).toBe(`${around}${sly}${around}`)
        },
      ),
    )
  })

  it('answers every text with a value or with troubles', () => {
    fc.assert(
      fc.property(
        fc
          .array(fc.oneof(fc.constantFrom('${', '}', '$', ':-', 'env:', 'file:', 'cred:', 'A'), fc.string()))
          .map(parts => parts.join('')),
        text => {
          const { value, troubles } = expandText(text, lookup({ A: 'a' }))
          expect(value === undefined).toBe(troubles.length > 0)
        },
      ),
    )
  })
})

describe('files of containers and of systemd', () => {
  const found = (text: string, env: Record<string, string>, stored: Record<string, string> = {}) => expandText(text, lookup(env, stored))
  it.each<[string, Record<string, string>, string]>([
    ['${GITHUB_TOKEN}', { GITHUB_TOKEN_FILE: 'token' }, 'from-file'],
    ['${env:GITHUB_TOKEN}', { GITHUB_TOKEN_FILE: 'token' }, 'from-file'],
    ['${GITHUB_TOKEN}', { GITHUB_TOKEN_FILE: 'token', GITHUB_TOKEN: 'ghp' }, 'ghp'],
    ['${GITHUB_TOKEN:-x}', { GITHUB_TOKEN_FILE: 'none' }, 'x'],
    ['${cred:github}', { github_FILE: 'token' }, 'from-file'],
    ['${cred:github}', { github_FILE: 'token', github: 'env' }, 'env'],
    ['${cred:github}', { github_FILE: 'token', github: '' }, 'from-file'],
    ['${cred:github:-x}', { github: '' }, 'x'],
    ['${cred:github:-}', { github: '' }, ''],
    ['${GITHUB_TOKEN}', { GITHUB_TOKEN: '', GITHUB_TOKEN_FILE: 'token' }, ''],
  ])('%s with %o', (text, env, value) => expect(found(text, env)).toMatchObject({ value, troubles: [] }))

  it('a credential is found where systemd lays it out; the store wins', () => {
    const env = { CREDENTIALS_DIRECTORY: base }
    expect(found('${cred:token}', env)).toMatchObject({ value: 'from-file', secrets: ['from-file'], files: [join(base, 'token')] })
    expect(found('${cred:token}', env, { token: 'stored' }).value).toBe('stored')
    expect(found('${cred:other}', env).troubles).toMatchObject([{ code: 'UNKNOWN_CREDENTIAL' }])
  })

  it('what such a file says is a secret, and a missing one says which', () => {
    expect(found('${PLAIN}', { PLAIN_FILE: 'token' }).secrets).toEqual(['from-file'])
    expect(found('${PLAIN}', { PLAIN_FILE: 'none' }).troubles).toMatchObject([{ code: 'MISSING_FILE', message: expect.stringContaining(join(base, 'none')) }])
  })
})

describe('a tree', () => {
  it('is copied with every text resolved, keys and other values as they were', () => {
    const tree = { '${A}': ['${A}', 1, null, { b: true, c: 'x${A}' }] }
    const { value, marks } = expandTree(tree, lookup({ A: 'a' }))
    expect(value).toEqual({ '${A}': ['a', 1, null, { b: true, c: 'xa' }] })
    expect([...marks]).toEqual([
      ['["${A}",0]', 'resolved'],
      ['["${A}",3,"c"]', 'resolved'],
    ])
  })

  it('marks secrets and what could not be resolved, which stays as written', () => {
    const { value, marks, troubles } = expandTree({ a: '${cred:x}', b: '${NONE}' }, lookup({}, { x: 'y' }))
    expect(value).toEqual({ a: 'y', b: '${NONE}' })
    expect(Object.fromEntries(marks)).toEqual({ '["a"]': 'secret', '["b"]': 'unresolved' })
    expect(troubles).toMatchObject([{ code: 'UNSET_VARIABLE', at: ['b'] }])
  })

  it('is only marked without a lookup', () => {
    const { value, troubles, marks } = expandTree({ a: '${NONE}' }, undefined)
    expect({ value, troubles, marks: [...marks] }).toEqual({
      value: { a: '${NONE}' },
      troubles: [],
      marks: [['["a"]', 'unresolved']],
    })
  })
})
