/**
 * The built binary as a user runs it: a folder of its own, a clean environment, a config file, and proof at the end
 * that no process was left behind.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { eventually, type Target } from '../fixtures/clients/client.ts'

export const root = fileURLToPath(new URL('../..', import.meta.url))
/** `MCP_PROXY_BIN` puts another build to the test, such as an installed package. */
export const bin = process.env['MCP_PROXY_BIN'] ?? join(root, 'bin/mcp-proxy.js')
export const fixture = (name: string): string => join(root, 'test/fixtures/servers', name)

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface JournalEntry {
  readonly event: string
  readonly key?: string
}

export interface Sandbox {
  readonly dir: string
  readonly env: Readonly<Record<string, string>>
  write(name: string, content: string): string
  /** Writes a config file and returns its path. */
  config(config: JsonObject): string
  /** A path for a fixture server's journal. */
  journal(alias: string): string
  readJournal(alias: string): JournalEntry[]
  /** `mcp-proxy run` over a config, for a client to start. */
  runTarget(config: JsonObject): Target
  /** Runs a command of the binary to its end. `hold`: how long its stdin stays open, milliseconds. */
  run(args: readonly string[], options?: { input?: string; env?: Record<string, string>; cwd?: string; timeoutMs?: number; hold?: number }): Promise<Finished>
  /** Processes that carry this sandbox's path in their command line or environment. */
  survivors(): number[]
  /** Fails when a process outlived its client; removes the folder. */
  dispose(): Promise<void>
}

const procEntry = (pid: number, file: string): string => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}

export function createSandbox(): Sandbox {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'mcp-proxy-e2e-')))
  const home = join(dir, 'home')
  mkdirSync(home)
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    MCP_PROXY_HOME: join(home, 'mcp-proxy'),
    MCP_PROXY_NO_DAEMON: '1',
    NO_COLOR: '1',
  }
  let configs = 0
  const write = (name: string, content: string): string => {
    const path = join(dir, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content)
    return path
  }
  const sandbox: Sandbox = {
    dir,
    env,
    write,
    config: config => write(`config-${++configs}.json`, JSON.stringify(config, null, 2)),
    journal: alias => join(dir, `${alias}.jsonl`),
    readJournal(alias) {
      try {
        return readFileSync(join(dir, `${alias}.jsonl`), 'utf8').trim().split('\n').map(line => JSON.parse(line) as JournalEntry)
      } catch {
        return []
      }
    },
    runTarget: config => ({
      command: process.execPath, args: [bin, 'run', '--config', sandbox.config(config)], env, cwd: dir,
    }),
    run(args, options = {}) {
      return new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [bin, ...args], { cwd: options.cwd ?? dir, env: { ...env, ...options.env } })
        let stdout = ''
        let stderr = ''
        child.stdout.on('data', chunk => void (stdout += chunk))
        child.stderr.on('data', chunk => void (stderr += chunk))
        const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 30_000)
        child.on('error', reject)
        child.on('close', code => {
          clearTimeout(timer)
          resolve({ code, stdout, stderr })
        })
        child.stdin.on('error', () => {})
        const hold = setTimeout(() => child.stdin.end(options.input ?? ''), options.hold ?? 0)
        child.on('close', () => clearTimeout(hold))
      })
    },
    survivors: () =>
      readdirSync('/proc')
        .map(Number)
        .filter(pid => pid > 0 && pid !== process.pid)
        .filter(pid => procEntry(pid, 'cmdline').includes(dir) || procEntry(pid, 'environ').includes(dir)),
    async dispose() {
      try {
        if (process.platform === 'linux')
          await eventually(() => (sandbox.survivors().length === 0 ? true : undefined), 'every process to end', 8000)
      } catch {
        const left = sandbox.survivors().map(pid => ({ pid, command: procEntry(pid, 'cmdline').replaceAll('\0', ' ') }))
        for (const { pid } of left) {
          try {
            process.kill(pid, 'SIGKILL')
          } catch {
            // It ended after all.
          }
        }
        throw new Error(`processes left behind: ${JSON.stringify(left)}`)
      } finally {
        rmSync(dir, { recursive: true, force: true })
      }
    },
  }
  return sandbox
}

export type BackendKind = 'v1' | 'v2-legacy' | 'v2-modern'

const serverArgs = (sandbox: Sandbox, kind: BackendKind, alias: string, extra: readonly string[]): string[] => [
  ...(kind === 'v1' ? [fixture('v1.mjs')] : [fixture('everything-v2.mjs'), '--era', kind === 'v2-modern' ? 'modern' : 'legacy']),
  '--name', alias, '--journal', sandbox.journal(alias), ...extra,
]

/** A config entry that starts a fixture server over stdio. */
export const stdioBackend = (sandbox: Sandbox, kind: BackendKind, alias: string, extra: readonly string[] = []): JsonObject => ({
  command: process.execPath, args: serverArgs(sandbox, kind, alias, extra),
})

/** Starts a fixture server on a free port. */
export const remoteBackend = (sandbox: Sandbox, kind: BackendKind, alias: string, transport: 'http' | 'sse', extra: readonly string[] = []): Promise<Started> =>
  startListening(process.execPath, serverArgs(sandbox, kind, alias, ['--transport', transport, ...extra]), { env: { ...sandbox.env } })

export interface Started {
  readonly url: string
  readonly pid: number
  readonly stderr: () => string
  stop(): Promise<void>
}

/** Starts a process that says on stderr where it listens, and waits until it does. */
export async function startListening(command: string, args: readonly string[], options: { env?: Record<string, string>; cwd?: string } = {}): Promise<Started> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], ...options })
  let words = ''
  child.stderr.on('data', chunk => void (words += chunk))
  let code: number | null | undefined
  const ended = new Promise<void>(resolve => child.once('close', result => {
    code = result
    resolve()
  }))
  const url = await eventually(() => {
    if (code !== undefined) throw new Error(`ended with ${code} before it listened\n${words}`)
    const listening = /listening (http\S+)/.exec(words)?.[1]
    if (listening) return listening
    const ready = /^\{"port":(\d+),"paths":\["([^"]+)"/m.exec(words)
    return ready ? `http://127.0.0.1:${ready[1]}${ready[2]}` : undefined
  }, `${args.join(' ')} to listen`, 15_000)
  return {
    url,
    pid: child.pid as number,
    stderr: () => words,
    async stop() {
      if (code === undefined) child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
      await ended
      clearTimeout(timer)
    },
  }
}

/** `mcp-proxy serve --http` over a config, on a free port, without a token. */
export const serve = (sandbox: Sandbox, config: JsonObject, more: readonly string[] = []): Promise<Started> =>
  startListening(process.execPath,
    [bin, 'serve', '--http', '--port', '0', '--no-auth', '--config', sandbox.config(config), ...more],
    { env: { ...sandbox.env }, cwd: sandbox.dir })
