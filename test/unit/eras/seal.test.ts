import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { maxSealedLength, seal, unseal, type SealBinding } from '../../../src/eras/seal.ts'

const key = Buffer.alloc(32, 3)
const binding: SealBinding = { principal: 'ann', method: 'tools/call', params: { name: 'a__b', arguments: { x: 1, y: [1, { z: 2 }] } } }
const invalid = expect.objectContaining({ code: 'STATE_INVALID' })
const states = fc.record({
  from: fc.option(fc.string({ unit: 'binary' }), { nil: undefined }),
  inner: fc.option(fc.string({ unit: 'binary', maxLength: 2000 }), { nil: undefined }),
})

describe('sealed state', () => {
  it('comes back to the byte, and an absence stays one', () => {
    fc.assert(
      fc.property(states, state => {
        expect(unseal(key, seal(key, state, binding, 1000), binding, 999)).toEqual(state)
      }),
    )
  })

  it('shows nothing and never looks the same twice', () => {
    const state = { from: 'files', inner: 'the secret state' }
    const [one, two] = [seal(key, state, binding, 1000), seal(key, state, binding, 1000)]
    expect(one).not.toBe(two)
    expect(one).toMatch(/^[A-Za-z0-9_-]+$/)
    expect(Buffer.from(one, 'base64url').toString('latin1')).not.toContain('secret')
  })

  it('refuses every altered character', () => {
    const text = seal(key, { from: 'files', inner: 'state' }, binding, 1000)
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.constantFrom(...alphabet), (index, letter) => {
        fc.pre(text[index] !== letter)
        const altered = text.slice(0, index) + letter + text.slice(index + 1)
        expect(() => unseal(key, altered, binding, 0)).toThrow(invalid)
      }),
      { numRuns: 500 },
    )
  })

  it.each([
    ['something appended', (text: string) => `${text}-TAMPERED`],
    ['padding', (text: string) => `${text}=`],
    ['a stray character', (text: string) => `${text.slice(0, 9)}\n${text.slice(9)}`],
    ['the end cut off', (text: string) => text.slice(0, -4)],
    ['nothing at all', () => ''],
    ['a few bytes', () => 'AAAA'],
    ['a text beyond the bound', () => 'A'.repeat(maxSealedLength + 4)],
  ])('refuses %s', (_title, alter) => {
    const text = seal(key, { from: 'files', inner: 'state' }, binding, 1000)
    expect(() => unseal(key, alter(text), binding, 0)).toThrow(invalid)
  })

  it('refuses whatever text we did not make', () => {
    fc.assert(fc.property(fc.string(), text => void expect(() => unseal(key, text, binding, 0)).toThrow(invalid)))
  })

  it.each([
    ['another principal', { ...binding, principal: 'bob' }],
    ['another method', { ...binding, method: 'prompts/get' }],
    ['another name', { ...binding, params: { ...binding.params, name: 'a__c' } }],
    ['other arguments', { ...binding, params: { ...binding.params, arguments: { x: 2, y: [1, { z: 2 }] } } }],
    ['arguments left out', { ...binding, params: { name: 'a__b' } }],
    ['a uri besides', { ...binding, params: { ...binding.params, uri: 'file:///x' } }],
  ])('refuses %s', (_title, other) => {
    const text = seal(key, { from: 'files', inner: 's' }, binding, 1000)
    expect(() => unseal(key, text, other, 0)).toThrow(invalid)
  })

  it('takes the same request in another order of keys, with other metadata', () => {
    const text = seal(key, { from: 'files', inner: 's' }, binding, 1000)
    const same = { ...binding, params: { _meta: { n: 1 }, arguments: { y: [1, { z: 2 }], x: 1 }, name: 'a__b' } }
    expect(unseal(key, text, same, 0)).toEqual({ from: 'files', inner: 's' })
  })

  it('refuses once it has expired, and under another key', () => {
    const text = seal(key, { from: 'files', inner: 's' }, binding, 1000)
    expect(() => unseal(key, text, binding, 1000)).toThrow(invalid)
    expect(() => unseal(Buffer.alloc(32, 4), text, binding, 0)).toThrow(invalid)
  })

  it('does not carry a state beyond the bound', () => {
    const inner = 'x'.repeat(maxSealedLength)
    expect(() => seal(key, { from: 'files', inner }, binding, 1)).toThrow(expect.objectContaining({ code: 'BACKEND_PROTOCOL' }))
  })
})
