/** Changes of files, however they are made. */
import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { watchFiles, type FileWatch } from '../../../src/config/watch.ts'
import { silent } from '../../../src/gateway/log.ts'
import { scratch } from './write-config.ts'

const { folder, write } = scratch()
let file: string
let seen: string[][]
let watch: FileWatch
let count = 0

beforeEach(() => {
  file = write(`w${++count}/config.json`, 'one')
  seen = []
  watch = watchFiles({ files: [file], changed: files => void seen.push([...files]), log: silent, settleMs: 20, pollMs: 200 })
})
afterEach(() => watch.close())

const told = () => vi.waitFor(() => expect(seen.flat()).toContain(file), { timeout: 3000 })

it('sees a file written in place', async () => {
  writeFileSync(file, 'two')
  await told()
})

it('sees a file replaced by a rename, again and again', async () => {
  for (const text of ['two', 'three']) {
    seen.length = 0
    writeFileSync(`${file}.tmp`, text)
    renameSync(`${file}.tmp`, file)
    await told()
  }
})

it('sees a file go and come back', async () => {
  rmSync(file)
  await told()
  seen.length = 0
  writeFileSync(file, 'two')
  await told()
})

it('sees a link swapped underneath', async () => {
  const mount = join(folder, `w${count}/mount`)
  mkdirSync(join(mount, 'v1'), { recursive: true })
  mkdirSync(join(mount, 'v2'))
  writeFileSync(join(mount, 'v1/config.json'), 'one')
  writeFileSync(join(mount, 'v2/config.json'), 'two')
  symlinkSync('v1', join(mount, 'current'))
  symlinkSync('current/config.json', join(mount, 'config.json'))
  const linked = join(mount, 'config.json')
  watch.update([linked])
  symlinkSync('v2', join(mount, 'next'))
  renameSync(join(mount, 'next'), join(mount, 'current'))
  await vi.waitFor(() => expect(seen).toContainEqual([linked]), { timeout: 3000 })
})

it('waits for a file and a folder that are not there yet', async () => {
  const later = join(folder, `w${count}/sub/later.env`)
  watch.update([file, later])
  mkdirSync(join(folder, `w${count}/sub`))
  writeFileSync(later, 'A=1')
  await vi.waitFor(() => expect(seen.flat()).toContain(later), { timeout: 3000 })
})

it('tells several writes in a row once', async () => {
  for (let index = 0; index < 5; index++) {
    writeFileSync(file, `text ${index}`)
    utimesSync(file, new Date(), new Date(1_700_000_000_000 + index))
  }
  await told()
  await sleep(100)
  expect(seen.length).toBeLessThanOrEqual(2)
})

it('is not kept from it by a file beside it that is written without a pause', async () => {
  const noise = setInterval(() => appendFileSync(join(folder, `w${count}/proxy.log`), 'a line\n'), 5)
  try {
    await sleep(50)
    writeFileSync(file, 'two')
    await told()
  } finally {
    clearInterval(noise)
  }
})

it('does not care for other files, nor after it was closed', async () => {
  writeFileSync(join(folder, `w${count}/other.json`), 'x')
  await sleep(100)
  watch.close()
  writeFileSync(file, 'two')
  await sleep(300)
  expect(seen).toEqual([])
})
