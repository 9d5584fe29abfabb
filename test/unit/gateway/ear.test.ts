/** What an ear is granted when it is moved while that is still being settled. */
import { describe, expect, it } from 'vitest'
import type { Connection, Granted, Interest } from '../../../src/gateway/contract.ts'
import { Ear, type EarHost } from '../../../src/gateway/ear.ts'
import { McpError } from '../../../src/gateway/errors.ts'
import { FakeWatcher, interested } from './fake-server.ts'

const nothing: Granted = { lists: [], resources: [], refused: new Map() }
const all = ({ lists, resources }: Interest): Granted => ({ lists, resources, refused: new Map() })

/** A start that ends when the test says so. */
function start(end: () => Promise<unknown> | void) {
  let over = (): void => {}
  const started = new Promise<void>(resolve => (over = resolve))
  return { over, bringUp: () => started.then(end) }
}

/** A server that answers an interest when the test says so. `closing`: what those who still wait are told at the end of their watch. */
function place(closing?: Granted) {
  const asked: { interest: Interest; answer: (granted: Granted) => void }[] = []
  const ask = (interest: Interest): Promise<Granted> => {
    if (interest.resources.length === 0) return Promise.resolve(nothing)
    return new Promise(answer => asked.push({ interest, answer }))
  }
  const watch = ({ interest }: { interest: Interest }) => ({
    granted: ask(interest),
    update: ask,
    close: () => closing && asked.forEach(({ answer }) => answer(closing)),
  })
  const connection = { watch } as unknown as Connection
  const live = [[{}, connection]] as const
  return { asked, live, grant: () => asked.forEach(({ interest, answer }) => answer(all(interest))) }
}

const host = (bringUp: EarHost['bringUp'] = () => Promise.reject(new Error('not wanted'))): EarHost =>
  ({ alias: 'files', bringUp, moved() {}, left() {} })
const isSettled = async (granted: Promise<Granted>): Promise<boolean> => {
  let is = false
  void granted.then(() => (is = true))
  await new Promise(resolve => setImmediate(resolve))
  return is
}
const wanted = interested({ resources: ['a:b'] })

describe('an ear that is moved while its URIs are being granted', () => {
  it.each<[string, Granted]>([
    ['has nothing more to say', nothing],
    ['refuses them because it ends', { ...nothing, refused: new Map([['a:b', new McpError('SHUTTING_DOWN', 'over')]]) }],
    ['has granted them', all(wanted)],
  ])('is told what the new server says, where the old one %s', async (_, closing) => {
    const [before, after] = [place(closing), place()]
    const ear = new Ear(new FakeWatcher(), host(), before.live)
    const granted = ear.update(wanted)
    ear.move(host(() => Promise.resolve()), after.live, false)
    expect(await isSettled(granted)).toBe(false)
    after.grant()
    expect(await granted).toEqual(all(wanted))
  })

  it('waits for the new server where that has to be started', async () => {
    const [before, after] = [place(nothing), place()]
    const ear = new Ear(new FakeWatcher(), host(), before.live)
    const granted = ear.update(wanted)
    const { over, bringUp } = start(() => ear.attach(...after.live[0]))
    ear.move(host(bringUp), [], false)
    expect(await isSettled(granted)).toBe(false)
    over()
    expect(await isSettled(granted)).toBe(false)
    after.grant()
    expect(await granted).toEqual(all(wanted))
  })

  it.each([['came', () => Promise.resolve()], ['did not come', () => Promise.reject(new Error('no'))]])(
    'waits for it too where the old server %s after that', async (_, end) => {
      const [before, after] = [start(end), place()]
      const ear = new Ear(new FakeWatcher({ resources: ['a:b'] }), host(before.bringUp), [])
      const { over, bringUp } = start(() => ear.attach(...after.live[0]))
      ear.move(host(bringUp), [], false)
      before.over()
      expect(await isSettled(ear.granted)).toBe(false)
      over()
      expect(await isSettled(ear.granted)).toBe(false)
      after.grant()
      expect(await ear.granted).toEqual(all(wanted))
    },
  )

  it('is refused what the new server cannot be had for, with the reason', async () => {
    const before = place(nothing)
    const ear = new Ear(new FakeWatcher(), host(), before.live)
    const granted = ear.update(wanted)
    ear.move(host(() => Promise.reject(new McpError('BACKEND_START_FAILED', 'gone'))), [], false)
    const { resources, refused } = await granted
    expect(resources).toEqual([])
    expect(refused.get('a:b')).toMatchObject({ code: 'BACKEND_START_FAILED', message: 'files: gone' })
  })

  it('is told of what it wants now, however often it moves', async () => {
    const [first, second, third] = [place(nothing), place(nothing), place()]
    const ear = new Ear(new FakeWatcher(), host(), first.live)
    const earlier = ear.update(wanted)
    ear.move(host(() => Promise.resolve()), second.live, false)
    const later = ear.update(interested({ resources: ['a:b', 'a:c'] }))
    ear.move(host(() => Promise.resolve()), third.live, false)
    for (const granted of [earlier, later]) expect(await isSettled(granted)).toBe(false)
    third.grant()
    for (const granted of [earlier, later]) expect((await granted).resources).toEqual(['a:b', 'a:c'])
  })

  it('is granted nothing once it is closed, and nobody waits', async () => {
    const [before, after] = [place(nothing), place(nothing)]
    const ear = new Ear(new FakeWatcher(), host(), before.live)
    const granted = ear.update(wanted)
    ear.move(host(() => Promise.resolve()), after.live, false)
    ear.close()
    expect(await granted).toEqual(nothing)
  })
})

it('a server that is gone again at once has not granted anything: that is said', async () => {
  const ear = new Ear(new FakeWatcher({ resources: ['a:b'] }), host(() => Promise.resolve()), [])
  const { resources, refused } = await ear.granted
  expect(resources).toEqual([])
  expect(refused.get('a:b')).toMatchObject({ code: 'BACKEND_DIED' })
})
