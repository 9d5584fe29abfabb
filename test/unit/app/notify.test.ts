import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { handedOver, openNotify } from '../../../src/app/notify.ts'
import type { Log } from '../../../src/gateway/log.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const warnings: string[] = []
const log = { debug() {}, info() {}, error() {}, warn: (_: object, text: string) => void warnings.push(text) } as unknown as Log

function opened(env: Record<string, string>, works = true) {
  const told: string[][] = []
  const run = async (program: string, args: readonly string[]): Promise<void> => {
    told.push([program, ...args])
    if (!works) throw new Error('ENOENT')
  }
  return { told, supervisor: openNotify({ env, pid: 7, log, run }) }
}

describe('the supervisor', () => {
  it('is told nothing when there is none', async () => {
    const { told, supervisor } = opened({ WATCHDOG_USEC: '1000' })
    supervisor.ready('x')
    supervisor.stopping()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(told).toEqual([])
  })

  it('hears that we are ready, alive and stopping, in this order, until the end', async () => {
    const { told, supervisor } = opened({ NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: '3000000', WATCHDOG_PID: '7' })
    supervisor.ready('listening x')
    await vi.advanceTimersByTimeAsync(2500)
    supervisor.stopping()
    await vi.advanceTimersByTimeAsync(1000)
    supervisor.close()
    await vi.advanceTimersByTimeAsync(5000)
    expect(told.map(([program, pid, word]) => [program, pid, word])).toEqual(
      ['READY=1', 'WATCHDOG=1', 'WATCHDOG=1', 'STOPPING=1', 'WATCHDOG=1'].map(word => ['systemd-notify', '--pid=7', word]))
    expect(told[0]).toContain('STATUS=listening x')
  })

  it.each([{}, { WATCHDOG_USEC: '3000000', WATCHDOG_PID: '8' }, { WATCHDOG_USEC: 'x' }])('wants no sign of life with %o', async more => {
    const { told, supervisor } = opened({ NOTIFY_SOCKET: '/run/n', ...more })
    supervisor.ready('x')
    await vi.advanceTimersByTimeAsync(10_000)
    supervisor.close()
    expect(told).toHaveLength(1)
  })

  it('that cannot be told is no reason to fail, and is said once', async () => {
    warnings.length = 0
    const { supervisor } = opened({ NOTIFY_SOCKET: '/run/n' }, false)
    supervisor.ready('x')
    supervisor.stopping()
    await vi.advanceTimersByTimeAsync(1)
    expect(warnings).toHaveLength(1)
  })
})

describe('a socket handed over', () => {
  it.each<[Record<string, string>, number[]]>([
    [{ LISTEN_PID: '7', LISTEN_FDS: '1' }, [3]],
    [{ LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:b' }, [3, 4]],
    [{ LISTEN_PID: '8', LISTEN_FDS: '1' }, []],
    [{ LISTEN_PID: '7', LISTEN_FDS: '0' }, []],
    [{ LISTEN_PID: '7', LISTEN_FDS: 'x' }, []],
    [{ LISTEN_PID: '7' }, []],
    [{}, []],
  ])('%o', (env, fds) => expect(handedOver({ env, pid: 7 })).toEqual(fds))
})
