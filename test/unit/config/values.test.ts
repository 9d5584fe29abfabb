/** Durations, sizes, numbers and switches: what people write, and that what we write reads back. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  formatDuration,
  formatSize,
  maxDuration,
  maxSize,
  readDuration,
  readFlag,
  readInteger,
  readSize,
  readText,
} from '../../../src/config/values.ts'

describe('durations', () => {
  it.each([
    [0, 0],
    [1500, 1500],
    ['1500', 1500],
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['24h', 86_400_000],
    ['1d', 86_400_000],
    ['1.5s', 1500],
    [' 2 S ', 2000],
  ])('%j is %i ms', (input, value) => expect(readDuration(input)).toEqual({ value }))

  it.each([
    '',
    'soon',
    '-1s',
    '1 fortnight',
    '1e3',
    '0x10',
    'NaN',
    Number.NaN,
    Infinity,
    -1,
    null,
    undefined,
    true,
    [],
    {},
    '1s 2s',
    '25d',
    '5constructor',
    1e300,
  ])('%j is none', input => expect(readDuration(input)).toHaveProperty('expected'))

  it('keeps to its least', () => expect(readDuration(0, 1)).toEqual({ expected: 'a duration of at least 1ms' }))

  it('reads back what it formats', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: maxDuration }),
        ms => void expect(readDuration(formatDuration(ms))).toEqual({ value: ms }),
      ),
    )
  })

  it('never answers with what a timer cannot take', () => {
    fc.assert(
      fc.property(fc.anything(), input => {
        const reading = readDuration(input)
        if ('value' in reading)
          expect(Number.isInteger(reading.value) && reading.value >= 0 && reading.value <= maxDuration).toBe(true)
      }),
    )
  })
})

describe('sizes', () => {
  it.each([
    [1024, 1024],
    ['1024', 1024],
    ['16MiB', 16 * 1024 * 1024],
    ['1 kib', 1024],
    ['1.5KiB', 1536],
    ['1kB', 1000],
    ['2MB', 2_000_000],
    ['10b', 10],
  ])('%j is %i bytes', (input, value) => expect(readSize(input)).toEqual({ value }))

  it.each(['', 'big', '-1', '1 TiB', '1GiB', -1, Number.NaN, {}, null])('%j is none', input =>
    expect(readSize(input)).toHaveProperty('expected'),
  )

  it('reads back what it formats', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: maxSize }),
        bytes => void expect(readSize(formatSize(bytes))).toEqual({ value: bytes }),
      ),
    )
  })
})

describe('scalars', () => {
  it('takes numbers as text, whole ones within bounds only', () => {
    expect(readInteger('3050', 0, 65_535)).toEqual({ value: 3050 })
    for (const input of [1.5, '1.5', 70_000, '70000', -1, '', 'x', Number.NaN, true])
      expect(readInteger(input, 0, 65_535)).toHaveProperty('expected')
  })

  it('takes switches as text', () => {
    expect(['true', '1', true].map(readFlag)).toEqual(Array(3).fill({ value: true }))
    expect(['false', '0', false].map(readFlag)).toEqual(Array(3).fill({ value: false }))
    for (const input of ['yes', 1, null, '']) expect(readFlag(input)).toHaveProperty('expected')
  })

  it('takes plain values as text, without NUL', () => {
    expect([3, true, 'x'].map(readText)).toEqual([{ value: '3' }, { value: 'true' }, { value: 'x' }])
    for (const input of ['a\0b', null, {}, []]) expect(readText(input)).toHaveProperty('expected')
  })
})
