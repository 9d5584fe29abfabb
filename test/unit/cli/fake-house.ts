/** A house of members in memory: the real gateway over servers that are a list of items and a handler. */
import type { House } from '../../../src/app/build.ts'
import { openLog } from '../../../src/app/logging.ts'
import { Redactor } from '../../../src/app/redact.ts'
import type { Context, Globals } from '../../../src/cli/command.ts'
import type { Opened } from '../../../src/cli/house.ts'
import type { Config } from '../../../src/config/config.ts'
import { askKind } from '../../../src/eras/era.ts'
import type { BackendStatus, Call, Handler, JsonObject, Member, Offer, Outcome } from '../../../src/gateway/contract.ts'
import { McpError } from '../../../src/gateway/errors.ts'
import { createGateway } from '../../../src/gateway/gateway.ts'
import { silent } from '../../../src/gateway/log.ts'
import { deafWatch } from '../../../src/gateway/stand-in.ts'
import type { FakeIo } from './fake-io.ts'

export interface FakeServer {
  readonly tools?: JsonObject[]
  readonly prompts?: JsonObject[]
  readonly resources?: JsonObject[]
  readonly templates?: JsonObject[]
  readonly handle?: Handler
  /** Why it does not work. */
  readonly broken?: string
  readonly status?: Partial<BackendStatus>
}

export interface FakeHouse extends Opened {
  /** Every call that reached a server. */
  readonly calls: Call[]
  /** Aliases in the order in which they were started or asked again. */
  readonly started: string[]
  readonly closed: () => boolean
}

export const complete = (result: JsonObject): Outcome => ({ kind: 'complete', result })
export const text = (words: string): Outcome => complete({ content: [{ type: 'text', text: words }] })

export function fakeHouse(servers: Record<string, FakeServer>): FakeHouse {
  const calls: Call[] = []
  const started: string[] = []
  let closed = false
  const members = Object.entries(servers).map(([alias, server]) => ({ alias, member: fakeMember(alias, server, calls, started), rules: {} }))
  const gateway = createGateway({
    self: { name: 'test', version: '1' },
    members,
    names: { separator: '__', prefix: 'always', maxLength: 64 },
    startWaitMs: 100,
    describeWaitMs: 100,
    log: silent,
  })
  const house: House = {
    gateway,
    askKind,
    status: () => ({ version: '1', pid: 1, uptimeMs: 5, backends: gateway.status() }),
    alone: () => undefined,
    serveOptions: () => undefined as never,
    serve: () => undefined as never,
    serveStdio: () => ({ closed: Promise.resolve(), drain: async () => {} }),
    reload: async () => undefined,
    close: async () => void (closed = true),
  }
  const log = openLog({ level: 'silent', format: 'json', color: false, sink: { write: () => true }, redactor: new Redactor() })
  const config = { backends: members.map(({ alias }) => ({ alias })) } as unknown as Config
  return { house, config, file: '/x/mcp proxy.json', log, close: () => house.close(), calls, started, closed: () => closed }
}

function fakeMember(alias: string, server: FakeServer, calls: Call[], started: string[]): Member {
  const { tools = [], prompts = [], resources = [], templates = [], broken } = server
  const offer: Offer = {
    description: { info: undefined, capabilities: { tools: {} }, instructions: undefined, era: undefined, revision: '2025-11-25' },
    tools, prompts, resources, templates,
  }
  let up = false
  const listeners = new Set<() => void>()
  const offered = async (): Promise<Offer | undefined> => {
    started.push(alias)
    if (broken === undefined && !up) {
      up = true
      listeners.forEach(tell => tell())
    }
    return broken === undefined ? offer : undefined
  }
  return {
    name: alias,
    get offer() {
      return up ? offer : undefined
    },
    offered,
    onOffer(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    handle: call => {
      calls.push(call)
      return (server.handle ?? (async () => complete({})))(call)
    },
    describe: async () => offer.description,
    watch: watcher => deafWatch(watcher, new McpError('INTERNAL', 'deaf')),
    notify() {},
    status: () => ({
      alias,
      state: broken === undefined ? 'healthy' : 'held',
      era: 'x', revision: '2025-11-25', transport: 'stdio', pid: 42,
      since: '2026-01-01T00:00:00.000Z',
      lastFailure: broken === undefined ? null : { stage: 'start', message: broken, at: '2026-01-01T00:00:00.000Z' },
      tools: tools.length, prompts: prompts.length, resources: resources.length,
      inFlight: 0, restarts: 0,
      ...server.status,
    }),
    close: async () => {},
  }
}

export const globals: Globals = {
  config: undefined, json: false, quiet: false, verbose: false, debug: false,
  logLevel: undefined, logFormat: undefined, color: true, profile: undefined,
}

export const contextFor = (io: FakeIo, given: Partial<Globals> = {}): Context => ({ io, globals: { ...globals, ...given }, redactor: new Redactor() })
