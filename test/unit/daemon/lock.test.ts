import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isAlive, readOwner, takeLock, type Lock, type LockOwner, type Proof } from '../../../src/daemon/lock.ts'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mcp-proxy-lock-'))
  path = join(folder, 'a.lock')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const mine = async (): Promise<Lock> => {
  const taken = await takeLock(path)
  if (!('lock' in taken)) throw new Error('it is another one’s')
  return taken.lock
}
/** Of a process that is no more: ids end below this one. */
const dead = (more: object = {}) => JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), pid: 2 ** 22 + 7, nonce: '0123456789abcdef', ...more })

describe('a lock', () => {
  it('is taken once, and free again after its release', async () => {
    const lock = await mine()
    expect(lock.crashed).toBeUndefined()
    expect(await takeLock(path)).toMatchObject({ owner: { pid: process.pid } })
    expect(await lock.isOurs()).toBe(true)
    await lock.release()
    expect(readdirSync(folder)).toEqual([])
    await (await mine()).release()
  })

  it('goes to exactly one of many who want it at once', async () => {
    for (let round = 0; round < 20; round++) {
      const all = await Promise.all(Array.from({ length: 8 }, () => takeLock(path)))
      const [winner, ...more] = all.flatMap(taken => ('lock' in taken ? [taken.lock] : []))
      expect(more).toEqual([])
      await winner?.release()
    }
    expect(readdirSync(folder)).toEqual([])
  })

  it.each([
    ['a process that is gone', () => dead(), true],
    ['a process that has another’s id now', () => dead({ pid: process.pid, start: '1' }), true],
    ['a process of before the machine was restarted', () => dead({ pid: process.pid, boot: 'another' }), false],
    ['nobody, since it is broken', () => '{"pid":', false],
    ['nobody, since it is empty', () => '', false],
  ])('of %s is taken over by exactly one of many', async (_whose, content, isCrash) => {
    for (let round = 0; round < 10; round++) {
      await (await mine()).release()
      const first = await mine()
      writeFileSync(path, content())
      expect(await first.isOurs()).toBe(false)
      const all = await Promise.all(Array.from({ length: 6 }, () => takeLock(path)))
      const winners = all.flatMap(taken => ('lock' in taken ? [taken.lock] : []))
      expect(winners).toHaveLength(1)
      expect(winners[0]?.crashed !== undefined).toBe(isCrash)
      await winners[0]?.release()
      expect(readdirSync(folder)).toEqual([])
    }
  })

  it('that became another one’s is not released by who had it', async () => {
    const lock = await mine()
    writeFileSync(path, dead())
    await lock.release()
    expect(await readOwner(path)).toMatchObject({ nonce: '0123456789abcdef' })
    unlinkSync(path)
    expect(await lock.isOurs()).toBe(false)
  })

  it('that cannot be read is not said to be another one’s', async () => {
    const lock = await mine()
    unlinkSync(path)
    expect(await lock.isOurs()).toBe(false)
    // Stands for any failure but that it is not there.
    mkdirSync(path)
    await expect(lock.isOurs()).rejects.toMatchObject({ code: 'EISDIR' })
    await lock.release()
    expect(readdirSync(folder)).toEqual(['a.lock'])
  })

  it('cannot be had where nothing can be written', async () => {
    await expect(takeLock(join(folder, 'missing', 'a.lock'))).rejects.toThrow()
  })
})

// Written from documentation; no real Windows or macOS has run this.
describe('a lock where processes cannot be listed', () => {
  const signs = mkdtempSync(join(tmpdir(), 'mcp-proxy-signs-'))
  afterAll(() => rmSync(signs, { recursive: true, force: true }))
  const windows: Proof = { view: 'none', sign: nonce => join(signs, nonce) }
  const held = async (): Promise<Lock> => {
    const taken = await takeLock(path, windows)
    if (!('lock' in taken)) throw new Error('it is another one’s')
    return taken.lock
  }

  it('is its owner’s as long as that shows a sign of life', async () => {
    const lock = await held()
    expect(await takeLock(path, windows)).toMatchObject({ owner: { pid: process.pid } })
    expect(readdirSync(signs)).toHaveLength(1)
    const owner = (await readOwner(path)) as LockOwner
    await lock.release()
    // Who waits for the end of the process is not told before.
    expect(await isAlive(owner, windows)).toBe(true)
  })

  it('is not a stranger’s who has the id of an owner of before the machine was restarted', async () => {
    await held()
    writeFileSync(path, dead({ pid: process.ppid, start: '-' }))
    expect(await isAlive((await readOwner(path)) as LockOwner, windows)).toBe(false)
    expect((await held()).crashed).toMatchObject({ pid: process.ppid })
  })

  it('stays with an owner who lives when ps cannot be run', async () => {
    const lock = await mine()
    const owner = (await readOwner(path)) as LockOwner
    expect(await isAlive(owner, { view: 'none', sign: undefined })).toBe(true)
    expect(await isAlive({ ...owner, pid: 2 ** 22 + 7 }, { view: 'none', sign: undefined })).toBe(false)
    await lock.release()
  })
})
