import { chmod, mkdir, mkdtemp, readFile, readdir, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createCatalogueStore, type CatalogueStoreOptions, type Identity } from '../../../src/app/catalogue-store.ts'
import type { Offer } from '../../../src/gateway/contract.ts'
import { silent } from '../../../src/gateway/log.ts'

let root: string
let dir: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'catalogue-'))
  dir = join(root, 'cache', 'catalogue')
})
afterEach(() => rm(root, { recursive: true, force: true }))

const store = (more: Partial<CatalogueStoreOptions> = {}) => createCatalogueStore({ dir, version: '1.0.0', log: silent, ...more })
const endpoint = { kind: 'command', command: 'npx', args: ['-y', 'x'], env: { TOKEN: 'hunter2-secret', LOG: 'info' }, cwd: '/' }
const identity: Identity = { endpoints: [endpoint], scope: '' }
const offer = (more: Partial<Offer> = {}): Offer => ({
  description: { info: { name: 'x' }, capabilities: { tools: {} }, instructions: 'é', era: 'e', revision: 'r' },
  tools: [{ name: 'a', vendor: { deep: [1, null] } }], prompts: [], resources: [], templates: [],
  freshness: { ttlMs: 5, scope: 'public' },
  ...more,
})

async function saved(more: Partial<CatalogueStoreOptions> = {}, what = offer(), who = identity): Promise<string> {
  const made = store(more)
  const before = new Set(await readdir(dir).catch(() => []))
  made.shelf(who).save(what)
  await made.settled()
  const [name] = (await readdir(dir)).filter(each => !before.has(each))
  return join(dir, name ?? '')
}

describe('what is saved', () => {
  it('is there for the next start, as it was', async () => {
    await saved()
    const loaded = store().shelf(identity).load()
    expect(loaded?.offer).toEqual(offer())
    expect(loaded?.ageMs).toBeLessThan(5000)
  })

  it('is private, and nothing is left beside it', async () => {
    const file = await saved()
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect((await stat(dir)).mode & 0o777).toBe(0o700)
    expect(await readdir(dir)).toHaveLength(1)
  })

  it('contains no value of the environment or the headers, nor does its name', async () => {
    const file = await saved({}, offer(), { endpoints: [endpoint, { kind: 'url', url: 'https://h', headers: { Authorization: 'Bearer hunter2-secret' } }], scope: '' })
    const text = await readFile(file, 'utf8')
    for (const form of ['hunter2-secret', Buffer.from('hunter2-secret').toString('base64').slice(0, 12), encodeURIComponent('hunter2-secret')])
      expect(text + file).not.toContain(form)
  })

  it('is the latest of several saves, and the note that goes with it', async () => {
    const made = store()
    const shelf = made.shelf(identity)
    for (let n = 0; n < 20; n++) {
      shelf.note = { n }
      shelf.save(offer({ tools: [{ name: `t${n}` }] }))
    }
    await made.settled()
    const again = store().shelf(identity)
    expect(again.note).toBeUndefined()
    expect(again.load()?.offer.tools).toEqual([{ name: 't19' }])
    expect(again.note).toEqual({ n: 19 })
  })

  it.each([true, false, undefined])('remembers whether clients are told apart: %s', async apart => {
    const made = store()
    const shelf = made.shelf(identity)
    expect(shelf.apart).toBeUndefined()
    shelf.apart = apart
    shelf.save(offer())
    await made.settled()
    const again = store().shelf(identity)
    again.load()
    expect(again.apart).toBe(apart)
  })

  it('also when it comes while the folder is being tidied', async () => {
    const made = store()
    const shelf = made.shelf(identity)
    shelf.save(offer())
    for (let n = 0; n < 50; n++) {
      await new Promise(resolve => setImmediate(resolve))
      shelf.save(offer({ tools: [{ name: `t${n}` }] }))
    }
    await made.settled()
    expect(store().shelf(identity).load()?.offer.tools).toEqual([{ name: 't49' }])
  })

  it('if unchanged is only marked as confirmed', async () => {
    const file = await saved()
    const then = new Date(Date.now() - 7_200_000)
    await utimes(file, then, then)
    const { ino } = await stat(file)
    const made = store()
    const shelf = made.shelf(identity)
    expect(shelf.load()?.ageMs).toBeGreaterThan(7_000_000)
    shelf.save(offer())
    await made.settled()
    expect((await stat(file)).ino).toBe(ino)
    expect(store().shelf(identity).load()?.ageMs).toBeLessThan(5000)
  })

  it('is written again if somebody removed it meanwhile', async () => {
    const made = store()
    const shelf = made.shelf(identity)
    shelf.save(offer())
    await made.settled()
    await rm(dir, { recursive: true })
    shelf.save(offer())
    await made.settled()
    expect(store().shelf(identity).load()).toBeDefined()
  })
})

describe('it is found again', () => {
  const differs: [string, Identity, Partial<CatalogueStoreOptions>?][] = [
    ['another command', { ...identity, endpoints: [{ ...endpoint, command: 'uvx' }] }],
    ['another argument', { ...identity, endpoints: [{ ...endpoint, args: ['-y', 'y'] }] }],
    ['another value in the environment', { ...identity, endpoints: [{ ...endpoint, env: { ...endpoint.env, TOKEN: 'other' } }] }],
    ['another variable', { ...identity, endpoints: [{ ...endpoint, env: { ...endpoint.env, MORE: '' } }] }],
    ['another url', { ...identity, endpoints: [{ kind: 'url', url: 'https://other' }] }],
    ['another instance', { ...identity, endpoints: [endpoint, endpoint] }],
    ['another principal', { ...identity, scope: 'bob' }],
    ['another version of this program', identity, { version: '1.0.1' }],
  ]
  it.each(differs)('not for %s', async (_, who, more) => {
    await saved()
    expect(store(more).shelf(who).load()).toBeUndefined()
  })

  it('whatever the order in which the config names things', async () => {
    await saved()
    const { env, ...rest } = endpoint
    const reordered = { env: { LOG: env.LOG, TOKEN: env.TOKEN }, ...rest }
    expect(store().shelf({ scope: '', endpoints: [reordered] }).load()).toBeDefined()
  })
})

describe('what is not right is not believed', () => {
  const loaded = () => store().shelf(identity).load()

  it('nothing there', () => expect(loaded()).toBeUndefined())

  it('every single damaged byte, and every length', async () => {
    const file = await saved()
    const whole = await readFile(file)
    for (let at = 0; at < whole.length; at += 7) {
      const damaged = Buffer.from(whole)
      damaged[at] = (damaged[at] as number) ^ 1
      await writeFile(file, damaged)
      expect(loaded()).toBeUndefined()
      await writeFile(file, whole.subarray(0, at))
      expect(loaded()).toBeUndefined()
    }
    await writeFile(file, whole)
    expect(loaded()).toBeDefined()
  })

  it('another backend’s file under this name', async () => {
    const mine = await saved()
    const other = await saved({}, offer(), { ...identity, scope: 'x' })
    await rename(other, mine)
    expect(loaded()).toBeUndefined()
  })

  it('a file that others can write, a link, a folder, one that is too large', async () => {
    const file = await saved()
    await chmod(file, 0o622)
    expect(loaded()).toBeUndefined()
    await chmod(file, 0o600)
    expect(store({ limits: { bytes: 100 } }).shelf(identity).load()).toBeUndefined()
    await rename(file, `${file}.real`)
    await symlink(`${file}.real`, file)
    expect(loaded()).toBeUndefined()
    await rm(file)
    await mkdir(file)
    expect(loaded()).toBeUndefined()
  })

  it('an offer of another shape', async () => {
    for (const odd of [{}, { ...offer(), tools: 'x' }, { ...offer(), tools: [1] }, { ...offer(), description: null }]) {
      await rm(dir, { recursive: true, force: true })
      await saved({}, odd as Offer)
      expect(loaded()).toBeUndefined()
    }
  })

  it('the age of a file from the future', async () => {
    const file = await saved()
    const later = new Date(Date.now() + 86_400_000)
    await utimes(file, later, later)
    expect(loaded()?.ageMs).toBe(Infinity)
  })
})

describe('bounds', () => {
  it('an offer that is too large is not kept', async () => {
    const made = store({ limits: { bytes: 500 } })
    made.shelf(identity).save(offer({ tools: [{ name: 'x'.repeat(600) }] }))
    await made.settled()
    expect(await readdir(dir).catch(() => [])).toEqual([])
  })

  it('so many files and no more, those confirmed longest ago go; other files are left alone', async () => {
    await mkdir(dir, { recursive: true })
    await writeFile(join(dir, 'readme.txt'), 'mine')
    await writeFile(join(dir, 'abc.catalogue.123.tmp'), 'unfinished')
    const old = new Date(Date.now() - 86_400_000)
    await utimes(join(dir, 'abc.catalogue.123.tmp'), old, old)
    const made = store({ limits: { files: 3 } })
    for (let n = 0; n < 6; n++) {
      made.shelf({ ...identity, scope: `${n}` }).save(offer())
      await made.settled()
      await new Promise(resolve => setTimeout(resolve, 5))
    }
    const left = Array.from({ length: 6 }, (_, n) => made.shelf({ ...identity, scope: `${n}` }).load() !== undefined)
    expect(left).toEqual([false, false, false, true, true, true])
    expect(await readdir(dir)).toContain('readme.txt')
    expect(await readdir(dir)).toHaveLength(4)
  })

  it('so many bytes in all', async () => {
    const made = store({ limits: { totalBytes: 3000 } })
    for (let n = 0; n < 5; n++) {
      made.shelf({ ...identity, scope: `${n}` }).save(offer({ tools: [{ name: 'x'.repeat(1000) }] }))
      await made.settled()
    }
    expect(await readdir(dir)).toHaveLength(2)
  })
})

it('a folder that cannot be written costs a warning, once', async () => {
  await writeFile(join(root, 'cache'), 'a file where the folder should be')
  const warnings: string[] = []
  const made = store({ log: { ...silent, warn: (_, text) => warnings.push(text) } })
  for (let n = 0; n < 3; n++) {
    made.shelf({ ...identity, scope: `${n}` }).save(offer())
    await made.settled()
  }
  expect(warnings).toHaveLength(1)
  expect(made.shelf(identity).load()).toBeUndefined()
})
