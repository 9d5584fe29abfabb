import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LastWords, loggable, plain, splitLines } from '../../../src/transports/last-words.ts'
import { sparse } from '../../../src/transports/sparse-log.ts'

describe('last words', () => {
  it('are the last lines, whatever came before and in whatever pieces', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ minLength: 1, maxLength: 3000 }).map(plain)), parts => {
        const words = new LastWords()
        for (const part of parts) words.push(Buffer.from(part))
        const whole = Buffer.from(parts.join('')).subarray(-65_536).toString()
        const lines = whole
          .split('\n')
          .map(line => line.trimEnd())
          .filter(line => line !== '')
          .slice(-20)
        expect(words.text()).toBe(lines.map(line => (line.length > 500 ? `${line.slice(0, 500)}…` : line)).join('\n'))
      }),
    )
  })

  it('are bounded, and of a flood the end is kept', () => {
    const words = new LastWords()
    for (let n = 0; n < 100_000; n++) words.push(Buffer.from(`line ${n}\n`))
    words.push(Buffer.from('x'.repeat(200_000) + '\nthe end\n'))
    expect(words.text(1)).toBe('the end')
    expect(words.text(2)).toBe('the end')
    words.push(Buffer.from('x'.repeat(1000) + '\nthe end\n'))
    expect(words.text(2)).toBe(`${'x'.repeat(500)}…\nthe end`)
    expect(new LastWords().text()).toBe('')
  })

  it('cannot move a terminal', () => {
    expect(plain('\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b]8;;http://x\x1b\\link\x00\x07\x7f\x9b1m\rnext\r\nlast\x1bM')).toBe(
      'red link1m\nnext\nlast',
    )
  })
})

it('lines of any length are split in bounded memory', () => {
  const lines: string[] = []
  const split = splitLines(line => lines.push(line))
  for (const piece of ['a', 'b\n\n  \nc', '\n', 'x'.repeat(10_000), '\nlast']) split(Buffer.from(piece))
  expect(lines).toEqual(['ab', 'c', 'x'.repeat(10_000)])
  split(Buffer.from('x'.repeat(100_000) + '\n'))
  expect(lines.at(-1)?.length).toBeLessThan(11_000)
  expect(loggable(lines.at(-1) as string, text => text)).toBe('last' + 'x'.repeat(1996))
})

describe('a secret', () => {
  const hide = (text: string): string => text.replaceAll('pässword', '***')
  it('is hidden in last words wherever a line is cut', () => {
    for (let before = 490; before <= 500; before++) {
      const words = new LastWords()
      words.push(Buffer.from(`${'x'.repeat(before)}pässword\n`))
      expect(words.text(1, hide)).not.toContain('p')
    }
  })
  it('is hidden even where the memory of last words begins', () => {
    for (let more = 0; more < 12; more++) {
      const words = new LastWords()
      words.push(Buffer.from(`pässword\n${'x'.repeat(65_536 - 10 - 12 + more)}\nend\n`))
      expect(words.text(20, hide)).not.toMatch(/[päswor]/)
    }
  })
  it('is hidden in the log wherever a line is cut and however it came', () => {
    for (let before = 1990; before <= 2000; before++) {
      const lines: string[] = []
      const split = splitLines(line => lines.push(loggable(line, hide)))
      for (const byte of Buffer.from(`${'x'.repeat(before)}pässword\n`)) split(Buffer.from([byte]))
      expect(lines.join()).toMatch(/^x+\**$/)
    }
  })
})

it('a flood is kept out of the log, and counted', () => {
  const said: [string, number][] = []
  let now = 0
  const say = sparse(
    (text, left) => said.push([text, left]),
    { lines: 2, perMs: 1000 },
    () => now,
  )
  for (const text of ['a', 'b', 'c', 'd']) say(text)
  now = 999
  say('e')
  now = 1000
  say('f')
  say('g')
  say('h')
  expect(said).toEqual([
    ['a', 0],
    ['b', 0],
    ['f', 3],
    ['g', 0],
  ])
})
