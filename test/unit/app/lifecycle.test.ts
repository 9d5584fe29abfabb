/** A house that follows its files. */
import { rmSync, writeFileSync } from 'node:fs'
import { afterEach, expect, it, vi } from 'vitest'
import { followFiles, type Lifecycle } from '../../../src/app/lifecycle.ts'
import { loadConfig, type Loaded } from '../../../src/config/load.ts'
import { silent } from '../../../src/gateway/log.ts'
import { scratch } from '../config/write-config.ts'

const { write, folder } = scratch()
let count = 0
let lifecycle: Lifecycle | undefined
afterEach(() => lifecycle?.close())

async function follow(apply: (loaded: Loaded) => Promise<string> = async () => 'done') {
  const file = write(`l${++count}/c.json`, '{"mcpServers":{"a":{"command":"node","envFile":"a.env"}}}')
  const extra = write(`l${count}/credentials.json`, '{}')
  write(`l${count}/a.env`, 'A=1')
  const said: string[] = []
  const log = { ...silent, info: (_: object, text: string) => void said.push(`info ${text}`), warn: (_: object, text: string) => void said.push(`warn ${text}`), error: (_: object, text: string) => void said.push(`error ${text}`) }
  const load = vi.fn(() => loadConfig(file, { env: {} }))
  lifecycle = followFiles({ loaded: await load(), files: [extra], load, apply, log })
  load.mockClear()
  return { file, extra, load, said, lifecycle, env: `${folder}/l${count}/a.env` }
}

it.each(['file', 'extra', 'env'] as const)('reads again when %s changes', async which => {
  const { load, lifecycle, ...files } = await follow()
  writeFileSync(files[which], which === 'env' ? 'A=2' : which === 'extra' ? '{ }' : '{"mcpServers":{"b":{"command":"node"}}}')
  await vi.waitFor(() => expect(lifecycle.last).toMatchObject({ ok: true, message: 'done' }), { timeout: 3000 })
  expect(load).toHaveBeenCalledTimes(1)
})

it('what cannot be read changes nothing, is told once with its place, and is forgotten when mended', async () => {
  const applied = vi.fn(async () => 'done')
  const { file, lifecycle, said } = await follow(applied)
  writeFileSync(file, '{\n  "mcpServers": { "a": { "command": 7 } }\n}')
  expect(await lifecycle.reload()).toMatchObject({ ok: false, message: expect.stringMatching(/c\.json:2:\d+: .*command/) })
  await lifecycle.reload()
  expect(applied).not.toHaveBeenCalled()
  expect(said.filter(line => line.startsWith('error'))).toHaveLength(1)
  rmSync(file)
  expect(await lifecycle.reload()).toMatchObject({ ok: false })
  writeFileSync(file, '{"mcpServers":{}}')
  expect(await lifecycle.reload()).toMatchObject({ ok: true })
  expect(applied).toHaveBeenCalledTimes(1)
})

it('warnings of the new config are told, those known already are not', async () => {
  const { file, lifecycle, said } = await follow()
  writeFileSync(file, '{"mcpServers":{"a":{"command":"node","strange":1}}}')
  await lifecycle.reload()
  await lifecycle.reload()
  expect(said.filter(line => line.startsWith('warn') && line.includes('strange'))).toHaveLength(1)
})

it('asked while it is at it, it does it once more afterwards, however often it was asked', async () => {
  let release!: () => void
  const gates = [new Promise<void>(resolve => (release = resolve)), Promise.resolve()]
  const { lifecycle, load } = await follow(async () => {
    await gates.shift()
    return `${gates.length}`
  })
  const first = lifecycle.reload()
  const others = [lifecycle.reload(), lifecycle.reload()]
  await new Promise(resolve => setTimeout(resolve, 20))
  expect(load).toHaveBeenCalledTimes(1)
  release()
  expect((await first).message).toBe('1')
  expect((await Promise.all(others)).map(({ message }) => message)).toEqual(['0', '0'])
  expect(load).toHaveBeenCalledTimes(2)
})

it('a failure while applying is told like any other', async () => {
  const { lifecycle } = await follow(() => Promise.reject(new Error('no room')))
  expect(await lifecycle.reload()).toMatchObject({ ok: false, message: expect.stringContaining('internal') })
})
