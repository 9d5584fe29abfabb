/**
 * A world for one test file: a sandbox, rogue servers that know secrets and tell them, clients of the built binary; and the
 * judgement at the end, which no test can leave out.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import type { JsonObject } from '../../../src/gateway/contract.ts'
import { bin, createSandbox, startListening, type Sandbox, type Started } from '../../e2e/harness.ts'
import { eventually } from '../../fixtures/clients/client.ts'
import { filesBelow, leaks, lost, newMarker, newSecret, type Ledger } from './oracles.ts'
import { commandLine, kill, rssMb } from './processes.ts'
import { StdioClient, type ClientOptions } from './stdio-client.ts'

const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

const probing = ['--import', script('probe.mjs')]

export interface RogueOptions {
  readonly flags?: readonly string[]
  /** Settings beside its command. */
  readonly settings?: JsonObject
  readonly wrapped?: 'same group' | 'own group'
}

export interface RunOptions extends Partial<ClientOptions> {
  /** Flags of node itself. */
  readonly node?: readonly string[]
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** A shell line to run before, such as `ulimit -n 64`. */
  readonly before?: string
  readonly debug?: boolean
  readonly probe?: boolean
}

/** What the probe wrote. */
export interface Look {
  readonly look: number
  readonly lateMs: number
  readonly rss: number
  readonly heapUsed: number
  /** Bytes beside the heap that objects on it hold. */
  readonly external: number
  /** Bytes of machine code and bytecode, with what belongs to them, a part of `heapUsed`. */
  readonly code: number
  readonly now: number
}

/** Whatever holds a counted exchange with the proxy. */
export interface Counted {
  readonly ledger: Ledger
  readonly wrong: readonly string[]
  readonly received: string
}

export class World {
  readonly sandbox: Sandbox = createSandbox()
  readonly markers = new Map<string, string>()
  readonly secrets: string[] = []
  readonly clients: StdioClient[] = []
  /** Clients over HTTP and others that are to be judged as well. */
  readonly counted: Counted[] = []
  private readonly listeners: Started[] = []
  private readonly seenCommands = new Set<string>()
  private probes = 0
  private readonly quoted: boolean

  /** `quoted`: lines of servers that are no messages may carry arguments of calls into the log. */
  constructor({ quoted = false }: { quoted?: boolean } = {}) {
    this.quoted = quoted
  }

  /** A config entry for a rogue server; its secret is one the proxy knows, and the server tells it in every spelling. */
  rogue(alias: string, { flags = [], settings = {}, wrapped }: RogueOptions = {}): JsonObject {
    const marker = newMarker('b')
    const secret = newSecret()
    this.markers.set(alias, marker)
    this.secrets.push(secret)
    const file = this.sandbox.write(`${alias}.secret`, secret)
    const args = [
      script(wrapped ? 'wrapper.mjs' : 'rogue.mjs'), '--marker', marker, '--journal', this.sandbox.journal(alias), '--blab', 'API_TOKEN', ...flags,
      ...(wrapped === 'own group' ? ['--detached'] : []),
    ]
    return { command: process.execPath, args, env: { API_TOKEN: `\${file:${file}}` }, ...settings }
  }

  /** How often a rogue server was started. */
  spawned(alias: string): number {
    return this.journal(alias).filter(({ event }) => event === 'spawned').length
  }

  journal(alias: string): { event: string; key?: string; pid: number }[] {
    return this.sandbox.readJournal(alias) as never
  }

  /** Starts `mcp-proxy run` over a config. */
  run(config: JsonObject, options: RunOptions = {}): StdioClient {
    const { node = [], args = [], env = {}, before, debug = true, probe = false, ...client } = options
    const file = this.sandbox.config(config)
    const words = [
      ...(probe ? probing : []), ...node,
      bin, 'run', '--config', file, ...(debug ? ['--debug'] : []), ...args,
    ]
    const probeFile = join(this.sandbox.dir, `probe-${++this.probes}.json`)
    const made = new StdioClient({
      ...(before === undefined
        ? { command: process.execPath, args: words }
        : { command: '/bin/sh', args: ['-c', `${before}; exec "$0" "$@"`, process.execPath, ...words] }),
      env: { ...this.sandbox.env, ...(probe ? { FAULTS_PROBE: probeFile } : {}), ...env }, cwd: this.sandbox.dir,
    }, { ...client, backends: this.markers })
    this.clients.push(made)
    if (probe) this.probeFiles.set(made, probeFile)
    return made
  }

  /** Starts `mcp-proxy serve --http` over a config. */
  async serve(config: JsonObject, { node = [], args = [], env = {}, debug = true, probe = false }: RunOptions = {}): Promise<Started> {
    const probeFile = join(this.sandbox.dir, `probe-${++this.probes}.json`)
    const words = [...(probe ? probing : []), ...node, bin, 'serve', '--http', '--port', '0', '--config', this.sandbox.config(config), ...(debug ? ['--debug'] : []), ...args]
    const started = await startListening(process.execPath, args.includes('--token-file') ? words : [...words, '--no-auth'], {
      env: { ...this.sandbox.env, ...(probe ? { FAULTS_PROBE: probeFile } : {}), ...env }, cwd: this.sandbox.dir,
    })
    if (probe) this.probeFiles.set(started, probeFile)
    this.listeners.push(started)
    return started
  }

  private readonly probeFiles = new Map<{ readonly pid: number }, string>()

  /** Looks into a proxy that was started with `probe`, and sets its lateness back to zero. */
  async look(client: { readonly pid: number }, clockShiftMs?: number): Promise<Look> {
    const file = this.probeFiles.get(client) as string
    if (clockShiftMs !== undefined) writeFileSync(`${file}.clock`, String(clockShiftMs))
    const before = readLook(file)?.look ?? 0
    kill(client.pid, 'SIGUSR2')
    return eventually(() => {
      const look = readLook(file)
      return look && look.look > before ? look : undefined
    }, 'the probe', 10_000)
  }

  /** Remembers the command lines of everything that runs here now, for the search for secrets. */
  noteCommands(): void {
    for (const pid of this.sandbox.survivors()) this.seenCommands.add(commandLine(pid))
  }

  /** Ends everything and judges it. */
  async end(): Promise<void> {
    this.noteCommands()
    const memory = this.clients.map(client => rssMb(client.pid))
    for (const client of this.clients) await client.close()
    for (const listener of this.listeners) await listener.stop()
    const everybody: readonly Counted[] = [...this.clients, ...this.counted]
    const home = this.sandbox.env['MCP_PROXY_HOME'] as string
    const logs = [...this.clients.map(({ stderr }) => stderr), ...this.listeners.map(({ stderr }) => stderr())].join('\n')
    const leaked = leaks(this.secrets, {
      'what clients received': everybody.map(({ received }) => received).join('\n'),
      'the log': logs,
      'command lines': [...this.seenCommands].join('\n'),
      ...filesBelow(home),
      ...Object.fromEntries(Object.entries(filesBelow(this.sandbox.dir)).filter(([name]) => name.endsWith('.log'))),
    })
    const clientMarks = this.quoted ? [] : everybody.flatMap(client => ('mark' in client ? [client.mark as string] : []))
    try {
      expect(everybody.flatMap(({ wrong }) => wrong), 'foreign, doubled or misshapen messages').toEqual([])
      expect(leaked, 'secrets shown').toEqual([])
      expect(everybody.map(({ ledger }) => lost(ledger)), 'requests that never ended').toEqual(everybody.map(() => 0))
      expect(clientMarks.filter(mark => logs.includes(mark)), 'arguments of calls in the log').toEqual([])
      expect(memory.every(mb => mb < 1024), `memory ${memory.join(' ')}`).toBe(true)
    } finally {
      await this.sandbox.dispose()
    }
  }
}

function readLook(file: string): Look | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Look
  } catch {
    return undefined
  }
}
