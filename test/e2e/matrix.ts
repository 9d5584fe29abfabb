/**
 * Every official client in front of every official server: who they are, what a pair can express, and running all pairs
 * through one listener, or through a `run` of its own and the daemon where the client speaks stdio. Nothing is asserted here.
 */
import type { JsonObject } from '../../src/gateway/contract.ts'
import { connectClient, type ClientKind, type TestClient } from '../fixtures/clients/client.ts'
import { bin, remoteBackend, serve, stdioBackend, type BackendKind, type Sandbox, type Started } from './harness.ts'
import { oldest, scenarios, since20250618, since20251125, willing } from './scenarios.ts'

export const revisions = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25', '2026-07-28'] as const
const ways = ['stdio', 'http', 'sse'] as const

export interface Peer {
  readonly sdk: 'v1' | 'v2'
  readonly revision: string
  readonly over: 'stdio' | 'http' | 'sse'
  readonly kind: ClientKind & BackendKind
  /** Tells it from every other: a server's alias, and what a client calls itself in journals. */
  readonly id: string
}

/** What exists: SDK v1 knows nothing of 2026-07-28, which has no SSE transport, and 2024-11-05 has no Streamable HTTP. */
const exists = (sdk: string, revision: string, over: string): boolean =>
  revision === '2026-07-28' ? sdk === 'v2' && over !== 'sse' : revision !== '2024-11-05' || over !== 'http'

export const peers: readonly Peer[] = (['v1', 'v2'] as const).flatMap(sdk =>
  revisions.flatMap(revision => ways.filter(over => exists(sdk, revision, over)).map(over => ({
    sdk, revision, over,
    kind: sdk === 'v1' ? 'v1' as const : revision === '2026-07-28' ? 'v2-modern' as const : 'v2-legacy' as const,
    id: `${sdk}-${revision.replaceAll('-', '')}-${over}`,
  }))))

/** The older revision of a pair decides what crosses: asks of the person came in 2025-06-18, their url mode in 2025-11-25. */
export function expressible(client: Peer, server: Peer): readonly string[] {
  const older = client.revision < server.revision ? client.revision : server.revision
  return older < '2025-06-18' ? oldest : older < '2025-11-25' ? since20250618 : since20251125
}

export interface Cell {
  readonly client: Peer
  readonly server: Peer
  readonly passed: number
  /** One entry per scenario that failed: its title and why. */
  readonly failures: readonly string[]
}

export interface Run {
  readonly cells: readonly Cell[]
  /** What is wrong with a client's whole conversation: another revision than its own, an error nobody caused. */
  readonly complaints: readonly string[]
  /** `GET /status` of the listener, after all calls. */
  readonly status: JsonObject
}

/** One at a time per key, in order of arrival. */
function createLocks() {
  const tails = new Map<string, Promise<unknown>>()
  return <T>(key: string, run: () => Promise<T>): Promise<T> => {
    const turn = (tails.get(key) ?? Promise.resolve()).then(run)
    tails.set(key, turn.catch(() => {}))
    return turn
  }
}

const patience = 30_000
const withDaemon = { MCP_PROXY_NO_DAEMON: '' }

/** A scenario that hangs must fail its own cell, and not the whole run. */
function inTime(run: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((_, reject) => (timer = setTimeout(() => reject(new Error(`took longer than ${patience} ms`)), patience)))
  return Promise.race([run, late]).finally(() => clearTimeout(timer))
}

/** The lists of all servers together are long; they are fetched once per client. */
function withListsKept(client: TestClient): TestClient {
  const kept = <T>(fetch: () => Promise<T>) => {
    let list: Promise<T> | undefined
    return () => (list ??= fetch())
  }
  return Object.assign(Object.create(client) as TestClient, {
    tools: kept(client.tools), prompts: kept(client.prompts), resources: kept(client.resources), templates: kept(client.templates),
  })
}

/** @param lanes how many clients are at work at the same time */
export async function runMatrix(sandbox: Sandbox, lanes: number, wanted: (client: Peer, server: Peer) => boolean): Promise<Run> {
  const servers = peers.filter(server => peers.some(client => wanted(client, server)))
  const clients = peers.filter(client => servers.some(server => wanted(client, server)))
  const cells: Cell[] = []
  const complaints: string[] = []
  const locked = createLocks()
  const remotes: Started[] = []
  let listener: Started | undefined
  /** Config file of the daemon behind the clients over stdio. */
  let shared: string | undefined
  try {
    const entries = await Promise.all(servers.map(async (server): Promise<[string, JsonObject]> => {
      const pinned = server.kind === 'v2-modern' ? [] : ['--revision', server.revision]
      if (server.over === 'stdio') return [server.id, stdioBackend(sandbox, server.kind, server.id, pinned)]
      const remote = await remoteBackend(sandbox, server.kind, server.id, server.over, pinned)
      remotes.push(remote)
      return [server.id, { url: remote.url }]
    }))
    // Two dozen processes that start at once may take long: the first list waits for all of them.
    const config = { mcpServers: Object.fromEntries(entries), startWait: '60s' }
    const front = (listener = await serve(sandbox, config))

    const file = (shared = sandbox.config(config))
    const target = ({ over }: Peer) =>
      over === 'stdio' ? { command: process.execPath, args: [bin, 'run', '--config', file], env: { ...sandbox.env, ...withDaemon }, cwd: sandbox.dir }
      : over === 'sse' ? { url: front.url.replace(/\/mcp$/, '/sse'), sse: true } : { url: front.url }

    // A server sees one client at a time: of a server that does not say whom it asks, only the only caller is asked.
    const cell = (peer: Peer, client: TestClient, server: Peer) => locked(server.id, async () => {
      const before = new Map(servers.map(({ id }) => [id, sandbox.readJournal(id).length]))
      const since = (id: string) => sandbox.readJournal(id).slice(before.get(id))
      const failures: string[] = []
      let passed = 0
      for (const title of expressible(peer, server)) {
        try {
          await inTime((scenarios[title] as (typeof scenarios)[string])({
            client, backend: server.kind, shared: true,
            name: own => `${server.id}__${own}`,
            uri: own => (server === servers[0] ? own : `mcp-proxy://${server.id}/${own}`),
            journal: () => since(server.id),
            tag: peer.id, bystander: () => servers.flatMap(other => (other === server ? [] : since(other.id))),
          }))
          passed++
        } catch (error) {
          failures.push(`${title}: ${error instanceof Error ? error.message : error}`)
        }
      }
      cells.push({ client: peer, server, passed, failures })
    })

    const work = async (peer: Peer, start: number) => {
      const own = servers.filter(server => wanted(peer, server))
      const failAll = (error: unknown) => {
        const tested = new Set(cells.filter(({ client }) => client === peer).map(({ server }) => server))
        for (const server of own) if (!tested.has(server)) cells.push({ client: peer, server, passed: 0, failures: [String(error)] })
      }
      const client = await connectClient({ kind: peer.kind, revision: peer.revision, ...target(peer), answers: willing })
        .then(withListsKept, failAll)
      if (!client) return
      try {
        if (client.revision() !== peer.revision) complaints.push(`${peer.id} settled on ${client.revision()}`)
        // Clients begin at different servers, so that they seldom wait for each other.
        for (let i = 0; i < own.length; i++) await cell(peer, client, own[(start + i) % own.length] as Peer)
        for (const error of client.errors) complaints.push(`${peer.id}: ${error.message}`)
      } catch (error) {
        failAll(error)
      } finally {
        await client.close()
      }
    }

    let next = 0
    await Promise.all(Array.from({ length: lanes }, async (_, lane) => {
      while (next < clients.length) await work(clients[next++] as Peer, Math.floor((lane * servers.length) / lanes))
    }))
    const status = (await (await fetch(new URL('/status', front.url))).json()) as JsonObject
    return { cells, complaints, status }
  } finally {
    if (shared !== undefined) await sandbox.run(['daemon', 'stop', '--config', shared], { env: withDaemon })
    await listener?.stop()
    await Promise.all(remotes.map(remote => remote.stop()))
  }
}
