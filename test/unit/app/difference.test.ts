/** What differs between two configs, and what that means for what runs. */
import { expect, it } from 'vitest'
import { difference, summaryOf } from '../../../src/app/difference.ts'
import { loadConfig } from '../../../src/config/load.ts'
import type { Config } from '../../../src/config/config.ts'
import { scratch } from '../config/write-config.ts'

const { write } = scratch()
let count = 0
const configOf = async (mcpServers: object, settings: object = {}): Promise<Config> =>
  (await loadConfig(write('same/c.json', JSON.stringify({ mcpServers, ...settings })), { env: { N: String(++count) } })).config

const a = { command: 'node', args: ['a.js'], env: { A: '1' } }
const between = async (before: object, after: object, settings: object = {}) => {
  const [one, two] = [await configOf(before), await configOf(after, settings)]
  return difference(one, two, one)
}
const none = { added: [], changed: [], removed: [], needRestart: [] }

it('the same config, in other words, is no difference', async () => {
  expect(await between({ a }, { a: { env: { A: '1' }, args: ['a.js'], command: 'node', timeouts: { call: '60s' } } })).toEqual(none)
})

it('comes and goes', async () => {
  expect(await between({ a, b: a }, { c: a, b: a })).toEqual({ ...none, added: ['c'], removed: ['a'] })
})

it.each<[string, object]>([
  ['other arguments', { ...a, args: ['b.js'] }],
  ['another environment', { ...a, env: { A: '2' } }],
  ['another way of being treated', { ...a, timeouts: { call: '1s' } }],
  ['being switched off', { ...a, enabled: false }],
  ['a variable that is another by now', { ...a, env: { A: '${N}' } }],
])('%s is another server', async (_what, changed) => {
  expect(await between({ a }, { a: changed })).toEqual({ ...none, changed: ['a'] })
})

it('what is shown of a server, and in which order, is not the server', async () => {
  const shown = { ...a, tools: { include: ['x'], rename: { x: 'y' } }, prompts: { exclude: ['z'] }, resources: { include: [] } }
  expect(await between({ a, b: a }, { b: a, a: shown })).toEqual(none)
})

it('defaults are part of each server', async () => {
  expect(await between({ a, b: { ...a, timeouts: { call: 5 } } }, { a, b: { ...a, timeouts: { call: 5 } } }, { defaults: { timeouts: { call: 5 } } }))
    .toEqual({ ...none, changed: ['a'] })
})

it('names what only a restart can change, against the config of the start', async () => {
  const started = await configOf({ a }, { listen: { http: { port: 1 } } })
  const now = await configOf({ a }, { listen: { http: { port: 2 } }, log: { level: 'warn' }, catalog: { maxAge: 5 }, names: { separator: '-' }, startWait: 1 })
  expect(difference(started, now, started).needRestart).toEqual(['listen.http.port', 'log.level', 'catalog.maxAge'])
  expect(difference(now, started, started).needRestart).toEqual([])
})

it('is said in one line', () => {
  expect(summaryOf(none)).toBe('no server changed')
  expect(summaryOf({ ...none, added: ['a', 'b'], removed: ['c'] })).toBe('added a, b; removed c')
  expect(summaryOf({ ...none, changed: Array.from({ length: 10 }, (_, index) => `s${index}`) })).toBe('changed s0, s1, s2, s3, s4, s5, s6, s7 and 2 more')
})
