/** A `ps` that is ended half-way, or sees nobody: what that says of a process, and what it does not. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it, vi } from 'vitest'
import { findProcess, listProcesses, readRow, type ProcessRow, type ProcessView } from '../../../src/transports/process-tree.ts'
import { bootId } from '../../../src/transports/run-file.ts'
import { isGone, sweep } from '../../../src/transports/sweep.ts'

const half = '    1     0     1 Fri Nov 20 21:21:02 2026\n  77     1    70 Fri Nov  6 01:0'
vi.mock('node:child_process', async importOriginal => ({
  ...(await importOriginal<object>()),
  // Node's limit of time: SIGTERM, and what was in the pipe.
  execFile(_file: string, _args: string[], _options: object, done: (error: Error, stdout: string) => void): ChildProcess | undefined {
    done(Object.assign(new Error('late'), { killed: true, signal: 'SIGTERM' }), half)
    return undefined
  },
}))
vi.mock('../../../src/transports/process-tree.ts', async importOriginal => {
  const real = await importOriginal<{ listProcesses(view?: ProcessView): Promise<ProcessRow[]> }>()
  let looks = 0
  // The sweep sees everybody once, and then nobody.
  return { ...real, listProcesses: async (view?: ProcessView) => (view === undefined && looks++ > 0 ? [] : real.listProcesses(view)) }
})

const open: Array<() => unknown> = []
afterEach(() => {
  for (const close of open.splice(0)) close()
})

it('half a list makes no living proxy a dead one', async () => {
  const rows = await listProcesses('ps')
  expect(rows).toEqual([])
  expect(isGone({ pid: 77, start: 'Fri_Nov_6_01:02:03_2026' }, rows)).toBe(false)
  expect(await findProcess(77, 'ps')).toBeUndefined()
})

it.runIf(process.platform === 'linux')('what a sweep has told to end and cannot see afterwards is left to the next one, which may find it deaf', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'mcp-proxy-late-'))
  const child = spawn('/bin/sh', ['-c', 'trap "" TERM; echo; while :; do sleep 1; done'], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] })
  const pid = child.pid as number
  open.push(() => process.kill(-pid, 'SIGKILL'), () => rmSync(dir, { recursive: true }))
  await new Promise(resolve => child.stdout.once('data', resolve))
  const groups = [{ pid, start: readRow(pid)?.start }]
  writeFileSync(join(dir, 'dead.run.json'), JSON.stringify({ owner: { pid: 2 ** 22 + 7, start: '1' }, boot: bootId(), groups, descendants: [] }), { mode: 0o600 })
  expect(await sweep(dir)).toBeGreaterThan(0)
  expect(readRow(pid)).toBeDefined()
  expect(readdirSync(dir)).toEqual(['dead.run.json'])
})
