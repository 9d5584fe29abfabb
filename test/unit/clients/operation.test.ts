/** Changing files and taking it back: bytes, modes, backups, folders, and every way it must refuse. */
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { look, replace } from '../../../src/clients/disk.ts'
import { Journal } from '../../../src/clients/journal.ts'
import { perform, planUndo, takeBack } from '../../../src/clients/operation.ts'
import { openCredentials, type Credentials } from '../../../src/credentials/store.ts'

let dir: string
let journal: Journal
let store: Credentials
let file: string

beforeEach(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), 'mcp-proxy-operation-')))
  journal = new Journal(join(dir, 'state'))
  store = openCredentials(join(dir, 'own', 'credentials.json'))
  file = join(dir, 'app', 'settings.json')
  mkdirSync(join(dir, 'app'))
})

afterEach(() => rmSync(dir, { recursive: true, force: true }))

const write = async (path: string, text: string, credentials = new Map<string, string>()): Promise<void> =>
  perform({ command: 'install cursor', edits: [{ snapshot: await look(path, dir), after: Buffer.from(text), client: 'cursor' }], credentials }, journal, store)

const back = async (force = false): Promise<void> => takeBack(await planUndo(journal.read(), () => true), { journal, store, force })

describe('there and back', () => {
  it('restores bytes and mode, and leaves nothing', async () => {
    writeFileSync(file, Buffer.from([0xef, 0xbb, 0xbf, 0x7b, 0x7d, 0x0d, 0x0a]))
    chmodSync(file, 0o640)
    await write(file, '{"a":1}')
    expect(statSync(file).mode & 0o777).toBe(0o640)
    expect(statSync(`${file}.mcp-proxy-backup`).mode & 0o777).toBe(0o600)
    expect(statSync(journal.file).mode & 0o777).toBe(0o600)
    await back()
    expect([...readFileSync(file)]).toEqual([0xef, 0xbb, 0xbf, 0x7b, 0x7d, 0x0d, 0x0a])
    expect(statSync(file).mode & 0o777).toBe(0o640)
    expect(readdirSync(join(dir, 'app'))).toEqual(['settings.json'])
    expect(existsSync(join(dir, 'state'))).toBe(false)
  })

  it('keeps the group of a file', async () => {
    const group = process.getuid?.() === 0 ? 1234 : process.getgroups?.().find(gid => gid !== process.getgid?.())
    if (group === undefined) return
    writeFileSync(file, '{}')
    chownSync(file, -1, group)
    chmodSync(file, 0o640)
    await write(file, '{"a":1}')
    expect(statSync(file)).toMatchObject({ gid: group, mode: 0o100640 })
    await back()
    expect(statSync(file)).toMatchObject({ gid: group, mode: 0o100640 })
  })

  it('over many changes of one file', async () => {
    writeFileSync(file, 'one')
    for (const text of ['two', 'three', 'two']) await write(file, text)
    expect(readdirSync(join(dir, 'app'))).toHaveLength(4)
    await back()
    expect(readFileSync(file, 'utf8')).toBe('one')
    expect(readdirSync(join(dir, 'app'))).toEqual(['settings.json'])
  })

  it('removes a file and folders that were not there', async () => {
    const deep = join(dir, 'x', 'y', 'settings.json')
    await write(deep, 'two')
    expect(statSync(deep).mode & 0o777).toBe(0o600)
    await back()
    expect(existsSync(join(dir, 'x'))).toBe(false)
  })

  it('but not a folder that somebody else uses by now', async () => {
    await write(join(dir, 'x', 'settings.json'), 'two')
    writeFileSync(join(dir, 'x', 'other'), '')
    await back()
    expect(readdirSync(join(dir, 'x'))).toEqual(['other'])
  })

  it('forgets credentials, and their file if it was made for them', async () => {
    await write(file, '{}', new Map([['a', 'b']]))
    await back()
    expect(existsSync(store.file)).toBe(false)
    await store.set('mine', 'x')
    await write(file, '{}', new Map([['a', 'b']]))
    await back()
    expect(store.names()).toEqual(['mine'])
  })

  it('has nothing to restore when the file is as it was', async () => {
    writeFileSync(file, 'one')
    await write(file, 'two')
    writeFileSync(file, 'one')
    await back()
    expect(readdirSync(join(dir, 'app'))).toEqual(['settings.json'])
  })

  it('writes nothing when nothing changes', async () => {
    writeFileSync(file, 'one')
    await write(file, 'one')
    expect(journal.read()).toEqual([])
  })
})

describe('refuses', () => {
  it('to restore over what somebody else wrote, but for force', async () => {
    writeFileSync(file, 'one')
    await write(file, 'two')
    writeFileSync(file, 'three')
    await expect(back()).rejects.toMatchObject({ code: 'CLIENT_CONFIG_CHANGED' })
    expect(readFileSync(file, 'utf8')).toBe('three')
    await back(true)
    expect(readFileSync(file, 'utf8')).toBe('one')
  })

  it('to bring back what somebody has removed, but for force', async () => {
    writeFileSync(file, 'one')
    await write(file, 'two')
    rmSync(file)
    await expect(back()).rejects.toMatchObject({ code: 'CLIENT_CONFIG_CHANGED' })
    await back(true)
    expect(readFileSync(file, 'utf8')).toBe('one')
  })

  it('to restore from a backup that is not what it was', async () => {
    writeFileSync(file, 'one')
    await write(file, 'two')
    writeFileSync(`${file}.mcp-proxy-backup`, 'else')
    await expect(back(true)).rejects.toMatchObject({ code: 'CLIENT_CONFIG_CHANGED' })
    expect(readFileSync(file, 'utf8')).toBe('two')
  })

  it('to write over what has changed since it was read, and leaves no trace of the attempt', async () => {
    writeFileSync(file, 'one')
    const snapshot = await look(file, dir)
    writeFileSync(file, 'else')
    await expect(perform({ command: 'x', edits: [{ snapshot, after: Buffer.from('two') }], credentials: new Map() }, journal, store)).rejects.toMatchObject({ code: 'CLIENT_CONFIG_CHANGED' })
    expect(readFileSync(file, 'utf8')).toBe('else')
    expect(readdirSync(join(dir, 'app'))).toEqual(['settings.json'])
    expect(journal.read()).toEqual([])
  })

  it('a link out of its folder, a link to nowhere, a folder, a loop', async () => {
    const home = join(dir, 'home')
    mkdirSync(home)
    writeFileSync(join(dir, 'outside'), '')
    symlinkSync(join(dir, 'outside'), join(home, 'out'))
    symlinkSync(join(home, 'nowhere'), join(home, 'gone'))
    symlinkSync(dir, join(home, 'up'))
    symlinkSync(join(home, 'loop'), join(home, 'loop'))
    for (const name of ['out', 'gone', 'up/outside', 'up/new']) await expect(look(join(home, name), home), name).rejects.toMatchObject({ code: 'CLIENT_CONFIG_UNSAFE' })
    await expect(look(join(home, 'loop'), home)).rejects.toMatchObject({ code: expect.stringMatching(/^CLIENT_CONFIG/) })
    await expect(look(home, dir)).rejects.toMatchObject({ code: 'CLIENT_CONFIG_INVALID' })
    symlinkSync(join(dir, 'home'), join(dir, 'link'))
    writeFileSync(join(home, 'in'), 'x')
    expect((await look(join(dir, 'link', 'in'), dir)).real).toBe(join(home, 'in'))
  })

  it('a journal that is no journal', () => {
    mkdirSync(join(dir, 'state'))
    for (const text of ['', '[]', '{"version":2,"operations":[]}', '{"version":1,"operations":[{}]}']) {
      writeFileSync(journal.file, text)
      expect(() => journal.read()).toThrow(expect.objectContaining({ code: 'CLIENT_CONFIG_INVALID' }))
    }
  })
})

it('puts back what was done when a later file cannot be written', async () => {
  writeFileSync(file, 'one')
  const [first, second] = [await look(file, dir), await look(join(dir, 'app', 'b'), dir)]
  writeFileSync(join(dir, 'app', 'b'), 'by somebody')
  await expect(
    perform({ command: 'x', edits: [{ snapshot: first, after: Buffer.from('two') }, { snapshot: second, after: Buffer.from('two') }], credentials: new Map() }, journal, store),
  ).rejects.toMatchObject({ code: 'CLIENT_CONFIG_CHANGED' })
  expect(readFileSync(file, 'utf8')).toBe('one')
})

it('keeps a file whose folder cannot be written', async () => {
  if (process.getuid?.() === 0) return
  writeFileSync(file, 'one')
  const snapshot = await look(file, dir)
  chmodSync(join(dir, 'app'), 0o500)
  await expect(replace(snapshot, Buffer.from('two'))).rejects.toMatchObject({ code: 'CLIENT_CONFIG_UNSAFE' })
  chmodSync(join(dir, 'app'), 0o700)
  expect(readFileSync(file, 'utf8')).toBe('one')
})
