import { spawn } from 'node:child_process'
import { describe, expect, it, vi } from 'vitest'
import {
  family,
  findProcess,
  listProcesses,
  parsePs,
  parseStat,
  signalGroup,
  signalProcess,
  type ProcessRow,
} from '../../../src/transports/process-tree.ts'
import { parseRecord } from '../../../src/transports/run-file.ts'
import { taskkill } from '../../../src/transports/stop.ts'
import { leftovers } from '../../../src/transports/sweep.ts'
import { until } from './processes.ts'

const row = (pid: number, parent: number, group = pid, session = group): ProcessRow => ({
  pid,
  parent,
  group,
  session,
  start: `s${pid}`,
})

describe('what the system says of processes', () => {
  it('is read whatever a process calls itself', () => {
    const stat = (name: string, state = 'S'): string =>
      `42 (${name}) ${state} 7 40 39 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 11 0 987654 1 2 3\n`
    for (const name of ['node', 'a b', 'x) S 1 1 (y', ')', '\n'])
      expect(parseStat(stat(name)), name).toEqual({ pid: 42, parent: 7, group: 40, session: 39, start: '987654' })
    expect(parseStat(stat('dead', 'Z'))).toBeUndefined()
    expect(parseStat('')).toBeUndefined()
    expect(
      parsePs('    1     0     1 Fri Nov 20 21:21:02 2026\n  77     1    70 Fri Nov  6 01:02:03 2026\n\nPID what\n'),
    ).toEqual([
      { pid: 1, parent: 0, group: 1, session: 1, start: 'Fri_Nov_20_21:21:02_2026' },
      { pid: 77, parent: 1, group: 70, session: 70, start: 'Fri_Nov_6_01:02:03_2026' },
    ])
  })

  it.each(['proc', 'ps'] as const)('is found out through %s', async view => {
    const child = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' })
    const pid = child.pid as number
    const found = await findProcess(pid, view)
    expect(found).toMatchObject({ pid, parent: process.pid, group: pid })
    expect((await listProcesses(view)).find(other => other.pid === pid)).toMatchObject({ pid, group: pid })
    child.kill('SIGKILL')
    await until(() => child.signalCode !== null)
    expect(await findProcess(pid, view)).toBeUndefined()
  })
})

it('a family is the group, the session and every descendant, and nobody else', () => {
  const rows = [
    row(1, 0),
    row(10, 1),
    row(20, 10),
    row(21, 20, 20),
    row(22, 21, 22, 20),
    row(23, 22, 23),
    row(24, 1, 20),
    row(25, 24, 25),
    row(30, 10),
    row(31, 30, 30),
  ]
  expect(
    family(rows, new Set([20]))
      .map(({ pid }) => pid)
      .sort(),
  ).toEqual([20, 21, 22, 23, 24, 25])
  expect(family(rows, new Set([99]))).toEqual([])
  const circle = [row(5, 6, 5), row(6, 5, 5)]
  expect(family(circle, new Set([5]))).toHaveLength(2)
})

it('a signal hits no stranger', async () => {
  const child = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' })
  const pid = child.pid as number
  const start = (await findProcess(pid))?.start as string
  expect(await signalProcess({ pid, start: '1' }, 'SIGKILL')).toBe(false)
  for (const other of [0, 1, -1, process.pid]) expect(await signalProcess({ pid: other, start: '-' }, 'SIGKILL')).toBe(false)
  for (const group of [0, 1, -1, pid + 2 ** 22]) expect(signalGroup(group, 'SIGKILL')).toBe(false)
  expect(await signalProcess({ pid, start }, 'SIGKILL')).toBe(true)
  await until(() => child.signalCode === 'SIGKILL')
})

describe('what a record proves', () => {
  const ref = (pid: number, start = `s${pid}`): { pid: number; start: string } => ({ pid, start })
  const record = {
    owner: ref(99),
    boot: 'b',
    groups: [ref(20), ref(30, 'another'), ref(60), ref(70)],
    descendants: [ref(40), ref(50, 'another'), ref(61)],
  }

  it('is about those that are still the same, and their descendants', () => {
    const rows = [row(20, 1), row(21, 20, 20), row(30, 1), row(31, 30, 30), row(40, 1), row(41, 40, 41), row(50, 1)]
    const pids = leftovers(record, rows, 'b').map(({ pid }) => pid)
    expect(pids.sort()).toEqual([20, 21, 40, 41])
    expect(leftovers(record, rows, 'another boot')).toEqual([])
  })

  it('without a leader is about the whole group if one member is known, else about nobody', () => {
    const rows = [row(61, 1, 60), row(62, 1, 60), row(71, 1, 70), row(72, 1, 70)]
    expect(
      leftovers(record, rows, 'b')
        .map(({ pid }) => pid)
        .sort(),
    ).toEqual([61, 62])
  })

  it('is nothing if it is not one', () => {
    for (const text of [
      '',
      '{}',
      'null',
      '[]',
      JSON.stringify({ ...record, boot: 1 }),
      JSON.stringify({ ...record, descendants: [{ pid: '1', start: 's' }] }),
      JSON.stringify({ ...record, descendants: [{ pid: 5, start: 's s' }] }),
    ])
      expect(parseRecord(text), text).toBeUndefined()
    expect(parseRecord(JSON.stringify(record))).toEqual(record)
  })
})

// Written from documentation; no real Windows has run this.
it('on Windows a whole tree is ended by taskkill, by its absolute path and without a shell', async () => {
  const run = vi.fn((_file: string, _args: readonly string[], done: () => void) => done())
  await taskkill(4711, run)
  expect(run).toHaveBeenCalledWith('C:\\Windows\\System32\\taskkill.exe', ['/PID', '4711', '/T', '/F'], expect.any(Function))
})
