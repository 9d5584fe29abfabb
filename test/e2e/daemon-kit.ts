/** Many `run` processes over one config, with the daemon switched on, and a count of what runs. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { connectClient, type Answers, type ClientKind, type Target, type TestClient } from '../fixtures/clients/client.ts'
import { startRaw, type RawClient } from '../fixtures/clients/raw.ts'
import { bin, createSandbox, stdioBackend, type Sandbox } from './harness.ts'

const open: Array<() => Promise<unknown>> = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

export interface Shared {
  readonly sandbox: Sandbox
  readonly target: Target
  /** A command of the binary, with the daemon switched on. */
  run(...args: string[]): ReturnType<Sandbox['run']>
  client(kind: ClientKind, answers?: Answers): Promise<TestClient>
  raw(env?: Record<string, string>): RawClient
  /** Done at the end of the test, before the sandbox goes. */
  closing(close: () => Promise<unknown>): void
  /** Process ids by what is in their command line. */
  processes(word: string): number[]
  daemons(): number[]
  /** Names of the files through which it is found. */
  files(): string[]
}

export function share(config: (sandbox: Sandbox) => JsonObject): Shared {
  const sandbox = createSandbox()
  const file = sandbox.config(config(sandbox))
  const env = { ...sandbox.env, MCP_PROXY_NO_DAEMON: '' }
  const target: Target = { command: process.execPath, args: [bin, 'run', '--config', file], env, cwd: sandbox.dir }
  const commandLine = (pid: number): string => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
    } catch {
      return ''
    }
  }
  const processes = (word: string): number[] => sandbox.survivors().filter(pid => commandLine(pid).includes(word))
  const run: Shared['run'] = (...args) => sandbox.run([...args, '--config', file], { env: { MCP_PROXY_NO_DAEMON: '' } })
  open.push(async () => {
    await run('daemon', 'stop')
    await sandbox.dispose()
  })
  return {
    sandbox, target, run, processes,
    closing: close => void open.push(close),
    // Not the shell that looks after one.
    daemons: () => processes('daemon start --foreground').filter(pid => !commandLine(pid).startsWith('/bin/sh')),
    async client(kind, answers = {}) {
      const client = await connectClient({ ...target, kind, answers })
      open.push(() => client.close())
      return client
    },
    raw(more = {}) {
      const client = startRaw({ ...target, env: { ...env, ...more } })
      open.push(() => client.close())
      return client
    },
    files() {
      try {
        return readdirSync(join(sandbox.env['MCP_PROXY_HOME'] as string, 'run')).filter(name => name.startsWith('daemon-'))
      } catch {
        return []
      }
    },
  }
}

export const both = (settings: JsonObject = {}) => (sandbox: Sandbox): JsonObject => ({
  mcpServers: { old: stdioBackend(sandbox, 'v1', 'old'), new: stdioBackend(sandbox, 'v2-modern', 'new') },
  ...settings,
})
export const v1Only = (settings: JsonObject = {}) => (sandbox: Sandbox): JsonObject => ({
  mcpServers: { old: stdioBackend(sandbox, 'v1', 'old') },
  ...settings,
})
export const call = (name: string, args: JsonObject = {}) => ({ name, arguments: args })
export const textOf = (response: JsonObject) => ((response['result'] as any)?.content?.[0]?.text ?? JSON.stringify(response)) as string
