import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { bounded, openLog, type LogOptions } from '../../../src/app/logging.ts'
import { Redactor } from '../../../src/app/redact.ts'

const folders: string[] = []
const folder = (): string => {
  const made = mkdtempSync(join(tmpdir(), 'log-'))
  folders.push(made)
  return made
}
afterEach(() => folders.splice(0).forEach(path => rmSync(path, { recursive: true, force: true })))

function opened(options: Partial<LogOptions> = {}) {
  const written: string[] = []
  const redactor = new Redactor()
  const log = openLog({
    level: 'info', format: 'json', color: false, redactor, sink: { write: text => written.push(text) }, ...options,
  })
  return { log, redactor, text: () => written.join(''), lines: () => written.map(line => JSON.parse(line) as Record<string, unknown>) }
}

describe('openLog', () => {
  it('holds lines until it is let go, then writes them with the time they were said', async () => {
    const { log, lines } = opened({ holdMs: 60_000 })
    const before = Date.now()
    log.info({ backend: 'files' }, 'ready')
    const after = Date.now()
    await new Promise(resolve => setTimeout(resolve, 30))
    expect(lines()).toEqual([])
    await log.close()
    expect(lines()).toMatchObject([{ level: 'info', backend: 'files', msg: 'ready' }])
    expect(Number(lines()[0]!['time'])).toBeGreaterThanOrEqual(before)
    expect(Number(lines()[0]!['time'])).toBeLessThanOrEqual(after)
  })

  it('keeps order between held and direct lines, and drops what comes after the end', async () => {
    const { log, lines } = opened()
    log.info({}, 'one')
    await expect.poll(() => lines().length).toBe(1)
    log.warn({}, 'two')
    await log.close()
    log.error({}, 'late')
    expect(lines().map(line => line['msg'])).toEqual(['one', 'two'])
  })

  it('loads nothing for a level that is off', async () => {
    const { log, text } = opened({ level: 'silent' })
    log.error({}, 'x')
    await log.close()
    expect(text()).toBe('')
  })

  it('a child puts its fields on every line', async () => {
    const { log, lines } = opened()
    log.child({ backend: 'a' }).child({ attempt: 2 }).info({}, 'x')
    await log.close()
    expect(lines()).toMatchObject([{ backend: 'a', attempt: 2 }])
  })

  it.each(['json', 'pretty'] as const)('hides secrets by name and by value in %s', async format => {
    const { log, redactor, text } = opened({ format, level: 'debug' })
    redactor.add(['hunter2-hunter2'])
    log.debug({ headers: { authorization: 'Basic abcdefgh' }, url: 'https://x/?q=hunter2-hunter2' }, 'sent hunter2-hunter2')
    await log.close()
    expect(text()).toContain('***')
    expect(text()).not.toMatch(/hunter2|abcdefgh/)
  })

  it('pretty is one line without control characters', async () => {
    const { log, text } = opened({ format: 'pretty' })
    log.error({ error: new Error('no\nway') }, 'bad \u001b]52;c;AAAA\u0007 thing')
    await log.close()
    expect(text()).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] ERROR: bad \]52;c;AAAA thing \{.*no\\nway.*\}\n$/)
  })

  it.each(['json', 'pretty'] as const)('what a server says makes no line of its own, and moves no cursor, in %s', async format => {
    const { log, text } = opened({ format })
    log.warn({ name: 'a\u009b2Jb' }, 'not available: boom\n[12:00:00.000] ERROR: forged\u009b31m')
    await log.close()
    expect(text().trimEnd().split('\n')).toHaveLength(1)
    expect(text()).toContain('boom\\n[12:00')
    expect(text()).not.toMatch(/[\x7f-\x9f]/)
  })

  it('writes a file that only its owner can read, as JSON whatever the format', async () => {
    const file = join(folder(), 'deep', 'proxy.log')
    const { log } = opened({ format: 'pretty', file })
    log.info({ n: 1 }, 'to disk')
    await log.close()
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ n: 1, msg: 'to disk' })
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })

  it('a log file that cannot be opened is a warning', async () => {
    const { log, text } = opened({ file: join(folder(), '\0') })
    await log.close()
    expect(text()).toContain('cannot be opened')
  })

  it.runIf(process.platform === 'linux')('a full disk costs lines, not the process', async () => {
    const { log, text } = opened({ file: '/dev/full' })
    log.info({}, 'still here')
    await log.close()
    expect(text()).toContain('still here')
  })
})

describe('bounded', () => {
  it('drops lines while nobody reads, says how many, and survives a sink that throws', () => {
    const written: string[] = []
    const sink = { writableLength: 0, write: (text: string) => written.push(text) }
    const write = bounded(sink)
    write('a')
    sink.writableLength = 2 * 1024 * 1024
    write('b')
    write('c')
    sink.writableLength = 0
    write('d')
    expect(written).toEqual(['a', '… 2 log lines were dropped: nobody reads them\n', 'd'])
    const broken = bounded({ write: () => { throw new Error('ENOSPC') } })
    expect(() => broken('x')).not.toThrow()
  })
})
