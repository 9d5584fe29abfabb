/** credentials.json: what is stored comes back, nobody else can read it, and a file others could touch is refused. */
import { execFile } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openCredentials } from '../../../src/credentials/store.ts'
import { changeFile } from '../../../src/credentials/write.ts'

const posix = process.platform !== 'win32'
let folder: string
let file: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'credentials-'))
  file = join(folder, 'config/credentials.json')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const store = (entries: unknown, mode = 0o600): void => {
  mkdirSync(join(folder, 'config'), { recursive: true })
  writeFileSync(file, typeof entries === 'string' ? entries : JSON.stringify(entries))
  chmodSync(file, mode)
}

describe('what is stored', () => {
  it('comes back, in this process and the next', async () => {
    const credentials = openCredentials(file)
    expect([credentials.get('a'), credentials.names(), credentials.check()]).toEqual([undefined, [], []])
    await credentials.set('b', 'two')
    await credentials.set('a', 'one\nline "quoted" ü')
    expect(credentials.get('a')?.reveal()).toBe('one\nline "quoted" ü')
    expect(openCredentials(file).names()).toEqual(['a', 'b'])
    expect(await credentials.remove('a')).toBe(true)
    expect(await credentials.remove('a')).toBe(false)
    expect(openCredentials(file).names()).toEqual(['b'])
  })

  it('may be called like what every object has', async () => {
    const credentials = openCredentials(file)
    expect(credentials.get('constructor')).toBeUndefined()
    await credentials.set('constructor', 'value')
    expect(openCredentials(file).get('constructor')?.reveal()).toBe('value')
  })

  it.runIf(posix)('is readable by its owner alone, whatever the umask', async () => {
    const before = process.umask(0)
    try {
      await openCredentials(file).set('a', 'one')
    } finally {
      process.umask(before)
    }
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(statSync(join(folder, 'config')).mode & 0o777).toBe(0o700)
    expect(readdirSync(join(folder, 'config'))).toEqual(['credentials.json'])
  })

  it('survives many writers at once', async () => {
    await Promise.all(Array.from({ length: 12 }, (_, index) => openCredentials(file).set(`n${index}`, 'x')))
    expect(openCredentials(file).names()).toHaveLength(12)
  })

  it('survives a writer that died', async () => {
    mkdirSync(join(folder, 'config'))
    writeFileSync(`${file}.lock`, '')
    utimesSync(`${file}.lock`, new Date(), new Date(Date.now() - 60_000))
    await openCredentials(file).set('a', 'one')
    expect(existsSync(`${file}.lock`)).toBe(false)
  })

  it('survives many writers who all find the lock of one that died', async () => {
    for (let round = 0; round < 40; round++) {
      rmSync(join(folder, 'config'), { recursive: true, force: true })
      mkdirSync(join(folder, 'config'))
      writeFileSync(`${file}.lock`, '')
      utimesSync(`${file}.lock`, new Date(), new Date(Date.now() - 60_000))
      await Promise.all(Array.from({ length: 12 }, (_, index) => openCredentials(file).set(`n${index}`, 'x')))
      expect(openCredentials(file).names(), `round ${round}`).toHaveLength(12)
      expect(readdirSync(join(folder, 'config'))).toEqual(['credentials.json'])
    }
  })

  it('is not undone by a writer that was held up until another one had taken its place', async () => {
    let calls = 0
    let seen = false
    const add = (name: string): string => JSON.stringify({ ...(existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as object) : {}), [name]: 'x' })
    await changeFile(file, () => {
      const text = add('slow')
      if (++calls > 1) return text
      // What another writer has done meanwhile, and a third one's lock.
      writeFileSync(file, add('other'), { mode: 0o600 })
      writeFileSync(`${file}.lock`, 'a third one')
      setTimeout(() => {
        seen = existsSync(`${file}.lock`)
        rmSync(`${file}.lock`, { force: true })
      }, 300)
      return text
    })
    expect([openCredentials(file).names(), calls, seen]).toEqual([['other', 'slow'], 2, true])
    expect(readdirSync(join(folder, 'config'))).toEqual(['credentials.json'])
  })

  it('is written once, and the lock gone, though the lock cannot be read for a moment', async () => {
    let calls = 0
    await changeFile(file, () => {
      calls++
      // Stands for any failure but that it is not there: a virus scanner on Windows, no file descriptors left.
      rmSync(`${file}.lock`)
      symlinkSync('credentials.json.lock', `${file}.lock`)
      return '{"a":"x"}'
    })
    expect([openCredentials(file).names(), calls]).toEqual([['a'], 1])
    expect(readdirSync(join(folder, 'config'))).toEqual(['credentials.json'])
  })

  it.each(['', 'a b', 'a/b', '__proto__', 'x'.repeat(65), 'ü'])('cannot be called %j', async name => {
    await expect(openCredentials(file).set(name, 'x')).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' })
    expect(existsSync(file)).toBe(false)
  })

  it.each(['', 'a\0b', 'x'.repeat(65_537)])('cannot be an impossible value', async value => {
    await expect(openCredentials(file).set('a', value)).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' })
  })
})

describe('a file', () => {
  it.runIf(posix).each([0o640, 0o604, 0o644, 0o620, 0o602, 0o777])('of mode %o is refused, with the line that mends it', mode => {
    store({ a: 'one' }, mode)
    const credentials = openCredentials(file)
    const refused = expect.objectContaining({
      code: 'CREDENTIALS_UNSAFE',
      details: expect.objectContaining({ hint: `chmod 600 '${file}'` }) as object,
    }) as Error
    expect(() => credentials.get('a')).toThrow(refused)
    expect(() => credentials.names()).toThrow(refused)
    expect(credentials.check()).toMatchObject([{ hint: `chmod 600 '${file}'` }])
    chmodSync(file, 0o600)
    expect(openCredentials(file).get('a')?.reveal()).toBe('one')
  })

  it.runIf(posix)('that others can access is not written either', async () => {
    store({ a: 'one' }, 0o644)
    await expect(openCredentials(file).set('b', 'two')).rejects.toMatchObject({ code: 'CREDENTIALS_UNSAFE' })
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ a: 'one' })
  })

  it.runIf(posix)('that is a link to elsewhere is refused; one within its folder is not', () => {
    mkdirSync(join(folder, 'config'))
    writeFileSync(join(folder, 'elsewhere.json'), '{"a":"one"}', { mode: 0o600 })
    symlinkSync('../elsewhere.json', file)
    expect(() => openCredentials(file).get('a')).toThrow(expect.objectContaining({ code: 'CREDENTIALS_UNSAFE' }) as Error)
    rmSync(file)
    writeFileSync(join(folder, 'config/v1.json'), '{"a":"one"}', { mode: 0o600 })
    symlinkSync('v1.json', file)
    expect(openCredentials(file).get('a')?.reveal()).toBe('one')
  })

  it.runIf(posix && process.getuid?.() === 0)('of another user is refused', async () => {
    store({ a: 'one' })
    await promisify(execFile)('chown', ['12345', file])
    expect(() => openCredentials(file).get('a')).toThrow(
      expect.objectContaining({
        code: 'CREDENTIALS_UNSAFE',
        details: expect.objectContaining({ hint: expect.stringContaining('chown 0') as string }) as object,
      }) as Error,
    )
  })

  it.runIf(posix)('that is no file is not waited for', async () => {
    mkdirSync(join(folder, 'config'))
    await promisify(execFile)('mkfifo', ['-m', '600', file])
    expect(() => openCredentials(file).get('a')).toThrow(expect.objectContaining({ code: 'CREDENTIALS_UNSAFE' }) as Error)
  })

  it.each([
    ['not json: hunter22', /is not JSON/],
    ['["hunter22"]', /not an object/],
    ['{"a": {"hunter22": 1}}', /value of a is not a text/],
    ['{"a b": "hunter22"}', /no name for a credential/],
    [`{"a": "${'x'.repeat(1_100_000)}"}`, /larger than 1 MiB/],
  ])('with something else in it is refused without repeating it', (content, message) => {
    store(content)
    const [problem] = openCredentials(file).check()
    expect(problem?.message).toMatch(message)
    expect(JSON.stringify(problem)).not.toContain('hunter22')
  })

  it.runIf(posix && process.getuid?.() !== 0)('that cannot be written is an error with a code', async () => {
    mkdirSync(join(folder, 'config'), { mode: 0o500 })
    await expect(openCredentials(file).set('a', 'x')).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' })
  })
})
