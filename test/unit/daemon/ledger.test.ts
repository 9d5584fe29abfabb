import { describe, expect, it } from 'vitest'
import { Ledger, type Held } from '../../../src/daemon/ledger.ts'
import type { RequestId } from '../../../src/transports/channel.ts'

const line = (ids: readonly RequestId[], bytes: Buffer | number = 10): Held => ({
  bytes: typeof bytes === 'number' ? Buffer.alloc(bytes, String(ids[0])) : bytes,
  messages: ids.map(id => ({ jsonrpc: '2.0', id, method: 'x' })),
})
const answer = (id: RequestId) => ({ jsonrpc: '2.0', id, result: {} }) as const
const firsts = (lines: readonly Buffer[]) => lines.map(bytes => bytes.toString('latin1', 0, 1))

describe('the ledger', () => {
  it('takes back what was not heard, in order, and knows its answers for nobody\'s', () => {
    const ledger = new Ledger(() => false)
    for (const id of [1, 2, 3, '3', 4]) ledger.wrote(line([id]))
    ledger.withdrawn(4)
    expect(firsts(ledger.takeBack(15))).toEqual(['2', '3', '3'])
    expect([1, 2, 2, '3'].map(id => ledger.isTakenBack(answer(id)))).toEqual([false, true, false, true])
    expect(ledger.close()).toEqual([1])
  })

  it('takes a line of several requests back once, even when one of them is not wanted any more', () => {
    const ledger = new Ledger(() => false)
    ledger.wrote(line([1, 2, 3]))
    ledger.withdrawn(2)
    expect(firsts(ledger.takeBack(0))).toEqual(['1'])
    expect(ledger.close()).toEqual([])
  })

  it('keeps no line of what is told again, and counts it as taken back', () => {
    const ledger = new Ledger(id => id === 1, 15)
    ledger.wrote(line([2]))
    // Beyond the bound, if it were kept.
    ledger.wrote(line([1]))
    expect(firsts(ledger.takeBack(0))).toEqual(['2'])
    expect(ledger.isTakenBack(answer(1))).toBe(true)
    ledger.wrote(line([1]))
    expect(ledger.close()).toEqual([])
  })

  it('lets go of the oldest lines beyond its bound, and takes those back no more', () => {
    const ledger = new Ledger(() => false, 25)
    for (const id of [1, 2, 3]) ledger.wrote(line([id]))
    expect(firsts(ledger.takeBack(0))).toEqual(['2', '3'])
    expect(ledger.isTakenBack(answer(1))).toBe(false)
    expect(ledger.close()).toEqual([1])
  })

  it('lets go of what was read when something behind it is answered', () => {
    const ledger = new Ledger(() => false, 25)
    ledger.wrote(line([1]))
    ledger.wrote(line([2]))
    ledger.answered(2)
    // There is room for both only if the first ones are gone.
    for (const id of [3, 4]) ledger.wrote(line([id]))
    ledger.withdrawn(4)
    ledger.wrote(line([5]))
    expect(firsts(ledger.takeBack(20))).toEqual(['3', '5'])
    expect(ledger.close()).toEqual([1])
  })

  it('does not hold on to the chunk that a small line came in', () => {
    const ledger = new Ledger(() => false)
    const chunk = Buffer.from(new ArrayBuffer(64 * 1024)).fill('1')
    ledger.wrote(line([1], chunk.subarray(100, 300)))
    const [kept] = ledger.takeBack(0) as [Buffer]
    expect(kept).toEqual(chunk.subarray(100, 300))
    expect(kept.buffer.byteLength).toBeLessThan(16 * 1024)
    const large = Buffer.alloc(64 * 1024, '2')
    ledger.wrote(line([2], large))
    expect(ledger.takeBack(0)[0]).toBe(large)
  })
})
