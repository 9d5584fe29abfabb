import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { listProcesses, psEnvironment, readRow, type ProcessRow } from '../../../src/transports/process-tree.ts'
import { reaperScript } from '../../../src/transports/reaper-script.ts'
import { Reaper } from '../../../src/transports/reaper.ts'
import { bootId } from '../../../src/transports/run-file.ts'
import { isGone, sweep } from '../../../src/transports/sweep.ts'
import { isRunning, until } from './processes.ts'

const fixture = (name: string): string => fileURLToPath(new URL(`../../fixtures/processes/${name}`, import.meta.url))
const source = (name: string): string => fileURLToPath(new URL(`../../../src/transports/${name}`, import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'mcp-proxy-test-'))
const owner = join(folder, 'owner.mjs')
const deaf = { command: process.execPath, args: [fixture('deaf.mjs')] }
const wrapper = (...flags: string[]): typeof deaf => ({ command: process.execPath, args: [fixture('wrapper.mjs'), ...flags] })

interface Running {
  readonly process: ChildProcess
  /** Everybody who said a pid. */
  readonly pids: { pid: number; role: string }[]
}

const started: Running[] = []

/** Starts an owner and waits until everybody has said who they are. */
async function run(order: object, expected: number): Promise<Running> {
  const child = spawn(process.execPath, [owner, JSON.stringify(order)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const running: Running = { process: child, pids: [] }
  started.push(running)
  createInterface({ input: child.stdout }).on('line', line =>
    running.pids.push(JSON.parse(line) as { pid: number; role: string }),
  )
  await until(() => running.pids.length >= expected, 8000)
  return running
}

/** A process that will not go by itself, and that is nobody's child but ours. */
function stranger(): ChildProcess & { pid: number } {
  const child = spawn(process.execPath, [fixture('deaf.mjs')], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  started.push({ process: child, pids: [] })
  return child as ChildProcess & { pid: number }
}

const runDir = (): string => mkdtempSync(join(folder, 'run-'))

/** Whether the file of the proxy that runs names every process it has to end. */
function isRecorded(dir: string, { pids }: Running): boolean {
  const file = readdirSync(dir).find(name => name.endsWith('.run.json'))
  if (!file) return false
  const { groups, descendants } = JSON.parse(readFileSync(join(dir, file), 'utf8')) as { [kind in 'groups' | 'descendants']: { pid: number }[] }
  const named = new Set([...groups, ...descendants].map(({ pid }) => pid))
  return pids.every(({ pid, role }) => role === 'reaper' || named.has(pid))
}

const alive = ({ pids }: Running): object[] => pids.filter(({ pid }) => isRunning(pid))
const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

beforeAll(async () => {
  await build({
    entryPoints: [fixture('owner.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: owner,
    external: ['cross-spawn'],
    logLevel: 'error',
  })
})
afterEach(() => {
  for (const { process: child, pids } of started.splice(0)) {
    child.kill('SIGKILL')
    for (const { pid } of pids) if (isRunning(pid)) process.kill(pid, 'SIGKILL')
  }
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('when the proxy is killed with SIGKILL', () => {
  it('five wrappers and the five deaf servers behind them are gone within 2 s, and the reaper too', async () => {
    const running = await run({ children: Array(5).fill(wrapper()) }, 11)
    expect(alive(running)).toHaveLength(11)
    running.process.kill('SIGKILL')
    await until(() => alive(running).length === 0, 2000)
  })

  it('so are servers with a group of their own, even if the wrapper goes first', async () => {
    const dir = runDir()
    const running = await run({ runDir: dir, children: [wrapper('--detached'), wrapper('--detached', '--leave')] }, 5)
    await until(() => isRecorded(dir, running))
    running.process.kill('SIGKILL')
    await until(() => alive(running).length === 0, 2000)
  })

  it('nobody else is touched', async () => {
    const bystander = stranger()
    const running = await run({ children: [deaf] }, 3)
    running.process.kill('SIGKILL')
    await until(() => alive(running).length === 0, 2000)
    expect(isRunning(bystander.pid)).toBe(true)
  })
})

describe('the reaper', () => {
  it('is not there before there is anything to watch over, is small, and goes when closed', async () => {
    const reaper = new Reaper()
    expect(reaper.pid).toBeUndefined()
    const child = stranger()
    const adopted = reaper.adopt(child.pid)
    const pid = reaper.pid as number
    await until(() => isRunning(pid))
    const rss = (): number => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
    // Until its program is loaded it is a copy of us.
    await until(() => rss() < 5000)
    child.kill('SIGKILL')
    adopted.release()
    await reaper.close()
    await until(() => !isRunning(pid))
  })

  it('spares what was released', async () => {
    const reaper = new Reaper()
    const child = stranger()
    reaper.adopt(child.pid).release()
    const pid = reaper.pid as number
    await reaper.close()
    await until(() => !isRunning(pid))
    expect(isRunning(child.pid)).toBe(true)
  })

  it('is started again when somebody kills it, and still knows everybody', async () => {
    const running = await run({ children: [deaf] }, 3)
    const first = running.pids.find(({ role }) => role === 'reaper')?.pid as number
    process.kill(first, 'SIGKILL')
    const isReaper = (pid: number): boolean => pid !== first && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('mcp-proxy-reaper')
    const ofOwner = async (): Promise<number[]> =>
      (await listProcesses()).filter(({ parent }) => parent === running.process.pid).map(({ pid }) => pid)
    while (!(await ofOwner()).some(isReaper)) await pause(20)
    // What it is to watch over is told to it in the turn of its start.
    await pause(200)
    running.process.kill('SIGKILL')
    await until(() => alive(running).length === 0, 2000)
  })

  describe.each(['proc', 'ps'])('looking at processes through %s', view => {
    /** Hands the script these lines, ends its input and waits for its exit. */
    const reap = async (lines: string): Promise<void> => {
      const shell = spawn('/bin/sh', ['-c', reaperScript, 'reaper', view], {
        stdio: ['pipe', 'ignore', 'ignore'],
        detached: true,
        env: psEnvironment,
      })
      shell.stdin.end(lines)
      await new Promise(resolve => shell.on('exit', resolve))
    }
    const child = async (): Promise<{ pid: number; start: string }> => {
      const { pid } = stranger()
      await until(() => readRow(pid) !== undefined)
      await pause(100)
      return { pid, start: view === 'proc' ? (readRow(pid)?.start as string) : '-' }
    }

    it('ends groups and single processes it was told of, and nothing it was told to forget', async () => {
      const [group, single, forgotten] = await Promise.all([child(), child(), child()])
      const { pid, start } = forgotten
      await reap(
        `+ g ${pid} ${start}\n+ g ${group.pid} ${group.start}\n+ p ${pid} ${start}\n` +
          `+ p ${single.pid} ${single.start}\n- g ${pid} ${start}\n- p ${pid} ${start}\n`,
      )
      expect([group, single, forgotten].map(({ pid }) => isRunning(pid))).toEqual([false, false, true])
    })

    it('leaves a process alone that has the id but not the start', async () => {
      const { pid } = await child()
      await reap(`+ g ${pid} 12345\n+ p ${pid} 12345\n`)
      expect(isRunning(pid)).toBe(true)
    })

    it('does nothing with what is no number', async () => {
      const { pid } = await child()
      const canary = join(folder, `canary-${view}`)
      await reap(
        `+ g $(touch${'\t'}${canary}) 1\n+ g 1 1\n+ g 0 -\n+ g -1 -\n+ g ${pid};x -\n` +
          `+ p * -\n+ p ${pid} $(x)\n; touch ${canary}\n\n`,
      )
      expect(isRunning(pid)).toBe(true)
      expect(readdirSync(folder)).not.toContain(`canary-${view}`)
    })
  })
})

describe('the sweep at start-up', () => {
  /** Starts an owner whose reaper cannot work, so that killing it leaves everything behind. */
  const leaveBehind = async (dir: string, ...children: object[]): Promise<Running> => {
    const running = await run({ runDir: dir, shell: '/no/such/shell', children }, 1 + 2 * children.length)
    await until(() => isRecorded(dir, running))
    running.process.kill('SIGKILL')
    await until(() => !isRunning(running.process.pid))
    return running
  }

  it('ends what an earlier proxy left behind, and its file', async () => {
    const dir = runDir()
    const running = await leaveBehind(dir, wrapper(), wrapper('--detached'))
    expect(alive(running).length).toBeGreaterThanOrEqual(4)
    expect(await sweep(dir)).toBeGreaterThanOrEqual(4)
    await until(() => alive(running).length === 0, 1000)
    expect(readdirSync(dir)).toEqual([])
  })

  it('finds a server whose wrapper is gone', async () => {
    const dir = runDir()
    const running = await leaveBehind(dir, wrapper())
    const before = running.pids.find(({ role }) => role === 'child')?.pid as number
    process.kill(before, 'SIGKILL')
    await until(() => !isRunning(before))
    expect(await sweep(dir)).toBe(1)
    await until(() => alive(running).length === 0, 1000)
  })

  it('leaves the children of a living proxy alone, and a closed one leaves no file', async () => {
    const dir = runDir()
    const reaper = new Reaper({ runDir: dir })
    const child = stranger()
    const adopted = reaper.adopt(child.pid)
    await until(() => readdirSync(dir).length > 0)
    expect(await sweep(dir)).toBe(0)
    expect(isRunning(child.pid)).toBe(true)
    child.kill('SIGKILL')
    adopted.release()
    await reaper.close()
    expect(readdirSync(dir)).toEqual([])
  })

  it('leaves the children of a proxy alone that could not see its own start, or cannot be seen', async () => {
    const dir = runDir()
    const child = stranger()
    const ref = { pid: child.pid, start: readRow(child.pid)?.start as string }
    const record = { owner: { pid: process.pid, start: '-' }, boot: bootId(), groups: [ref], descendants: [] }
    writeFileSync(join(dir, 'blind.run.json'), JSON.stringify(record), { mode: 0o600 })
    expect(await sweep(dir)).toBe(0)
    expect(isRunning(child.pid)).toBe(true)
    expect(readdirSync(dir)).toEqual(['blind.run.json'])
    const row = readRow(process.pid) as ProcessRow
    expect([isGone(row, [row]), isGone({ ...row, start: '1' }, [row]), isGone({ ...row, start: '1' }, [])]).toEqual([false, true, false])
  })

  it('finds a file among others that have just gone, or are none', async () => {
    const dir = runDir()
    const module = join(folder, 'run-file.mjs')
    await build({ entryPoints: [source('run-file.ts')], bundle: true, platform: 'node', format: 'esm', outfile: module, logLevel: 'error' })
    const record = JSON.stringify({ owner: { pid: 77, start: '1' }, boot: bootId(), groups: [], descendants: [] })
    for (const n of [1, 2, 3, 4]) {
      symlinkSync('gone', join(dir, `${n}a.run.json`))
      mkdirSync(join(dir, `${n}b.run.json`))
      writeFileSync(join(dir, `${n}c.run.json`), record, { mode: 0o600 })
      // A pipe nobody writes to must not hold us up.
      execFileSync('mkfifo', ['-m', '600', join(dir, `${n}d.run.json`)])
    }
    // In a process of its own: to wait for a pipe stops everything.
    const code = `process.stdout.write(JSON.stringify((await import(${JSON.stringify(module)})).readRunFiles(${JSON.stringify(dir)}).map(({ path }) => path.slice(-11))))`
    const found = JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', code], { timeout: 5_000, encoding: 'utf8' })) as string[]
    expect(found.sort()).toEqual([1, 2, 3, 4].map(n => `${n}c.run.json`))
  })

  it('touches no process on the word of a file that proves nothing', async () => {
    const dir = runDir()
    const child = stranger()
    const pid = child.pid
    const ref = { pid, start: readRow(pid)?.start as string }
    const dead = { pid: 2 ** 22 + 1, start: '1' }
    const record = { owner: dead, boot: bootId(), groups: [ref], descendants: [ref] }
    const write = (name: string, text: string): void => writeFileSync(join(dir, `${name}.run.json`), text, { mode: 0o600 })
    write('another-boot', JSON.stringify({ ...record, boot: 'x' }))
    write('another-start', JSON.stringify({ ...record, groups: [{ ...ref, start: '1' }], descendants: [{ ...ref, start: '1' }] }))
    write('broken', '{"owner":')
    write('negative', JSON.stringify({ ...record, groups: [{ pid: -1, start: '1' }] }))
    write('init', JSON.stringify({ ...record, groups: [{ pid: 1, start: '0' }] }))
    expect(await sweep(dir)).toBe(0)
    expect(readdirSync(dir)).toEqual([])
    write('of-anybody', JSON.stringify(record))
    chmodSync(join(dir, 'of-anybody.run.json'), 0o666)
    expect(await sweep(dir)).toBe(0)
    chmodSync(join(dir, 'of-anybody.run.json'), 0o600)
    chmodSync(dir, 0o777)
    expect(await sweep(dir)).toBe(0)
    expect(isRunning(pid)).toBe(true)
    expect(await sweep(join(dir, 'not-there'))).toBe(0)
  })
})
