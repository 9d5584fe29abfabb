/** The members of a running house, and how others take their place. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Crew } from '../../../src/app/reload.ts'
import type { BackendConfig, Config } from '../../../src/config/config.ts'
import type { Gateway } from '../../../src/gateway/gateway.ts'
import { silent } from '../../../src/gateway/log.ts'
import type { SurfaceMember } from '../../../src/gateway/surface.ts'
import { FakeMember, gatewayOf } from '../gateway/fake-member.ts'
import { callOf } from '../gateway/fake-server.ts'
import { offer, options } from '../gateway/offers.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

/** Servers by alias; the text stands for everything that makes one another server. */
const configOf = (servers: Record<string, string>, settings: Partial<Config> = {}): Config =>
  ({
    backends: Object.entries(servers).map(([alias, text]) => ({ alias, problems: [], endpoints: [{ args: [text] }] })) as unknown as BackendConfig[],
    names: options, startWait: 1000, listen: { http: undefined, socket: undefined }, log: { level: 'info' },
    ...settings,
  }) as Config

function setUp(servers: Record<string, string>, make = (alias: string): FakeMember => new FakeMember(alias, { tools: ['t'] })) {
  const made: FakeMember[] = []
  const warned: string[] = []
  let gateway!: Gateway
  const crew = new Crew({
    config: configOf(servers),
    make: ({ alias }) => {
      const member = make(alias)
      made.push(member)
      return member
    },
    gateways: () => [gateway],
    seat: (members, { names, startWait }) => gateway.replace({ members, names, startWaitMs: startWait }),
    log: { ...silent, warn: (_, text) => void warned.push(text) },
  })
  gateway = gatewayOf([], {})
  gateway.replace({ members: crew.members, names: options, startWaitMs: 1000 })
  const members = (): FakeMember[] => crew.members.map(({ member }: SurfaceMember) => member as FakeMember)
  return { crew, gateway, made, members, warned }
}
const called = (gateway: Gateway, name: string): Promise<unknown> => gateway.handle(callOf('tools/call', { params: { name } }))

it('keeps who need not change, in the order of the new config', async () => {
  const { crew, members } = setUp({ a: '1', b: '1', c: '1' })
  const [a, b, c] = members() as [FakeMember, FakeMember, FakeMember]
  expect(await crew.apply(configOf({ c: '1', b: '2', d: '1' }))).toBe('added d; changed b; removed a')
  const [first, second, third] = members()
  expect(first).toBe(c)
  expect(second).not.toBe(b)
  expect(third?.name).toBe('d')
  await vi.advanceTimersByTimeAsync(100)
  expect([a.closed, b.closed, c.closed]).toEqual([true, true, false])
})

it('starts who is new before anybody is replaced, but waits no longer than for a list', async () => {
  const { crew, gateway, members } = setUp({ a: '1' })
  const [old] = members()
  const slow = new FakeMember('a')
  slow.brings = () => new Promise(resolve => setTimeout(() => resolve(offer({ tools: ['t'] })), 400))
  const never = new FakeMember('b')
  never.brings = () => new Promise(() => {})
  const queue = [slow, never]
  Object.assign(crew, { options: { ...(crew as any).options, make: () => queue.shift() } })
  const applied = crew.apply(configOf({ a: '2', b: '1' }))
  await vi.advanceTimersByTimeAsync(500)
  expect(gateway.members).toEqual([old])
  await vi.advanceTimersByTimeAsync(500)
  expect(await applied).toBe('added b; changed a')
  expect(gateway.members).toEqual([slow, never])
  expect(gateway.known.tools.map(tool => tool['name'])).toEqual(['a__t'])
})

describe('who leaves', () => {
  it('finishes its calls first', async () => {
    const { crew, gateway, members } = setUp({ a: '1' })
    const [old] = members() as [FakeMember]
    old.answer = () => new Promise(resolve => setTimeout(() => resolve({ kind: 'complete', result: { old: true } }), 3000))
    const going = called(gateway, 'a__t')
    await vi.advanceTimersByTimeAsync(1)
    await crew.apply(configOf({ a: '2' }))
    await vi.advanceTimersByTimeAsync(2900)
    expect(old.closed).toBe(false)
    await vi.advanceTimersByTimeAsync(200)
    expect(await going).toMatchObject({ result: { old: true } })
    expect(old.closed).toBe(true)
  })

  it('waits for the answers to what it asked', async () => {
    const { crew, gateway, members } = setUp({ a: '1' })
    const [old] = members() as [FakeMember]
    old.answer = () => ({ kind: 'inputRequired', requestState: 's' })
    const asked = (await called(gateway, 'a__t')) as { requestState: string }
    await crew.apply(configOf({ a: '2' }))
    await vi.advanceTimersByTimeAsync(5000)
    expect(old.closed).toBe(false)
    old.answer = () => ({ kind: 'complete', result: { old: true } })
    expect(await gateway.handle(callOf('tools/call', { params: { name: 'a__t' }, requestState: asked.requestState, continues: 'a' }))).toMatchObject({ result: { old: true } })
    await vi.advanceTimersByTimeAsync(100)
    expect(old.closed).toBe(true)
  })

  it('has 25 seconds, and not finishing is told', async () => {
    const { crew, gateway, members, warned } = setUp({ a: '1' })
    const [old] = members() as [FakeMember]
    old.answer = () => new Promise(() => {})
    void called(gateway, 'a__t')
    await vi.advanceTimersByTimeAsync(1)
    await crew.apply(configOf({}))
    await vi.advanceTimersByTimeAsync(24_900)
    expect(old.closed).toBe(false)
    await vi.advanceTimersByTimeAsync(300)
    expect(old.closed).toBe(true)
    expect(warned).toEqual(['a: its old server is ended although calls of it are not finished'])
  })

  it('goes at once when the house closes', async () => {
    const { crew, gateway, members } = setUp({ a: '1' })
    const [old] = members() as [FakeMember]
    old.answer = () => new Promise(() => {})
    void called(gateway, 'a__t')
    await vi.advanceTimersByTimeAsync(1)
    await crew.apply(configOf({}))
    await crew.close()
    expect(old.closed).toBe(true)
  })
})

it('who comes while the house closes is closed too, and takes no seat', async () => {
  const { crew, gateway, made } = setUp({})
  const applied = crew.apply(configOf({ a: '1' }))
  await crew.close()
  expect(await applied).toContain('closing')
  expect(made[0]?.closed).toBe(true)
  expect(gateway.members).toEqual([])
})

it('says once what needs a restart', async () => {
  const { crew, warned } = setUp({})
  const changed = { log: { level: 'warn', format: undefined, file: undefined } } as Partial<Config>
  await crew.apply(configOf({}, changed))
  await crew.apply(configOf({}, changed))
  expect(warned).toEqual(['needs a restart to take effect: log.level'])
  await crew.apply(configOf({}))
  await crew.apply(configOf({}, changed))
  expect(warned).toHaveLength(2)
})
