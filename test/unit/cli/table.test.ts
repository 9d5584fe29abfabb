import { describe, expect, it } from 'vitest'
import { printable, styleOf, wantsColor } from '../../../src/cli/io.ts'
import { fit, table, widthOf } from '../../../src/cli/table.ts'
import { fakeIo } from './fake-io.ts'

describe('table', () => {
  it('aligns columns and ends no line in blanks', () => {
    expect(table(['A', 'BB'], [['long one', 'x'], ['s', '']])).toBe('A         BB\nlong one  x\ns')
  })
  it('cuts the last column to the window, never the others', () => {
    expect(table(['NAME', 'WORDS'], [['a', 'many words that do not fit']], { width: 20 })).toBe('NAME  WORDS\na     many words th…')
    expect(table(['NAME', 'WORDS'], [['a'.repeat(30), 'words']], { width: 20 })).toContain('words')
  })
  it('puts what has several lines on one', () => expect(table(['A'], [['x\n  y\t z']])).toBe('A\nx y z'))
  it('measures what a terminal shows', () => {
    expect(widthOf('日本')).toBe(4)
    expect(widthOf('e\u0301')).toBe(1)
    expect(widthOf('🙂')).toBe(2)
    expect(fit('日本語', 5)).toBe('日本…')
    expect(fit('abc', 3)).toBe('abc')
  })
})

describe('what a terminal is given', () => {
  it('no control characters on a terminal, everything in a pipe', () => {
    const text = 'a\x1b]52;c;AA\x07\r\nb\u202ec\td'
    expect(printable(text, fakeIo({ tty: true }).stdout)).toBe('a]52;c;AA\nbc\td')
    expect(printable(text, fakeIo().stdout)).toBe(text)
  })

  it.each([
    [{ tty: true }, true, true],
    [{ tty: true }, false, false],
    [{ tty: false }, true, false],
    [{ tty: true, env: { NO_COLOR: '1' } }, true, false],
    [{ tty: true, env: { NO_COLOR: '' } }, true, true],
    [{ tty: false, env: { FORCE_COLOR: '1' } }, true, true],
    [{ tty: false, env: { FORCE_COLOR: '1', NO_COLOR: '1' } }, true, false],
    [{ tty: true, env: { FORCE_COLOR: '0' } }, true, false],
    [{ tty: true, env: { TERM: 'dumb' } }, true, false],
  ])('colours: %o with --color %s: %s', (options, flag, colored) => {
    const io = fakeIo(options)
    expect(wantsColor(io.stdout, io.env, flag)).toBe(colored)
    expect(styleOf(colored).red('x')).toBe(colored ? '\x1b[31mx\x1b[39m' : 'x')
  })
})
