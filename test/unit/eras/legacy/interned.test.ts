import { describe, expect, it } from 'vitest'
import { interned } from '../../../../src/eras/legacy/interned.ts'

const said = (name: string) => ({ name, version: '1', icons: [{ src: 'x' }] })

describe('what many clients say alike', () => {
  it('is one object, which nobody can change', () => {
    const first = interned(said('alike'))
    const second = interned(said('alike'))
    expect(second).toBe(first)
    expect(second).toEqual(said('alike'))
    expect(() => ((first['icons'] as { src: string }[])[0]!.src = 'y')).toThrow(TypeError)
    expect(interned(said('other'))).not.toBe(first)
  })

  it('is forgotten when many others have said other things since, and kept while it is said', () => {
    const [often, once] = [interned(said('often')), interned(said('once'))]
    for (let i = 0; i < 300; i++) {
      interned(said(`client-${i}`))
      expect(interned(said('often'))).toBe(often)
    }
    expect(interned(said('once'))).not.toBe(once)
  })

  it('is not remembered where it is long', () => {
    const long = { name: 'x'.repeat(10_000) }
    expect(interned(long)).toBe(long)
    expect(interned({ ...long })).not.toBe(long)
  })
})
