/**
 * The house on one page: what a loaded config becomes. Dialers, members, the order of the middleware and the ways in are
 * chosen here and nowhere else.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import type { Config } from '../config/config.ts'
import type { Loaded } from '../config/load.ts'
import type { Places } from '../config/places.ts'
import { askKind, serve, type AskLimits, type ServeOptions, type Serving } from '../eras/era.ts'
import type { BackendStatus, JsonObject } from '../gateway/contract.ts'
import { createGateway, type Gateway, type Seating } from '../gateway/gateway.ts'
import type { Log } from '../gateway/log.ts'
import { SpawnSlots } from '../gateway/spawn-slots.ts'
import type { SurfaceMember } from '../gateway/surface.ts'
import type { Channel } from '../transports/channel.ts'
import { Reaper } from '../transports/reaper.ts'
import { stdioChannel } from '../transports/stdio.ts'
import type { StopTiming } from '../transports/stop.ts'
import { sweep } from '../transports/sweep.ts'
import { createCatalogueStore } from './catalogue-store.ts'
import { followFiles, type LastReload } from './lifecycle.ts'
import { memberOf, type MemberContext } from './members.ts'
import { createProfiles, type ClientFit } from './profiles.ts'
import { Crew } from './reload.ts'
import { telemetry } from './telemetry.ts'
import { packageName, version } from './version.ts'

export interface BuildOptions {
  readonly log: Log
  readonly places: Places
  /** Takes secrets out of a text. */
  readonly redact: (text: string) => string
  /** Whether debug lines are written. */
  readonly debug: boolean
  /** Reads the config again. Given, its files are watched and the house follows them. */
  readonly load?: (() => Promise<Loaded>) | undefined
  /** Servers are started for one question: they have nothing to save, and somebody waits for their end. */
  readonly brief?: boolean | undefined
}

export interface ProxyStatus {
  readonly version: string
  readonly pid: number
  readonly uptimeMs: number
  readonly backends: readonly BackendStatus[]
  /** Clients for which tools were changed or held back; absent where there are none. */
  readonly adapted?: readonly ClientFit[] | undefined
  /** Absent while the config has not been read again. */
  readonly lastReload?: LastReload | undefined
}

export interface House {
  readonly gateway: Gateway
  readonly askKind: typeof askKind
  status(): ProxyStatus
  /** One backend alone, under its own names; undefined = no such alias. */
  alone(alias: string): Gateway | undefined
  /** What a client's side of the house needs, for a way in of its own. `client`: what `--client` says it is. */
  serveOptions(gateway: Gateway, principal: string, client?: string): ServeOptions
  /** Where a client may have open questions of another process's, ids of ours count on from `lastAskId`. */
  serve(channel: Channel, lastAskId?: number, client?: string): Serving
  serveStdio(input: Readable, output: Writable, lastAskId?: number, client?: string): Serving
  /** Reads the config again; undefined where there is nothing to read. */
  reload(): Promise<LastReload | undefined>
  /** Stops every server; in a hurry with less patience. */
  close(hurry?: boolean): Promise<void>
}

/** A call may ask a person this often; each round may take the ten minutes people take. */
const asks: AskLimits = { rounds: 16, waitMs: 600_000, parked: 256 }
/** The patience with servers that do not end by themselves, where somebody waits for us to end, milliseconds. */
const hasty: StopTiming = { eofMs: 300, termMs: 1000 }
/** How long the opening answer waits for servers never seen before, milliseconds. */
const describeWaitMs = 500

export function build(loaded: Loaded, { log, places, redact, debug, load, brief }: BuildOptions): House {
  const { config } = loaded
  const started = performance.now()
  const self: JsonObject = { name: packageName, title: 'mcp-proxy', version }
  const reaper = new Reaper({ runDir: places.runtime, log })
  const store = config.catalog.cache ? createCatalogueStore({ dir: join(places.cache, 'catalogue'), version, log }) : undefined
  // Read when a server is stopped, which may be in a hurry.
  const stop: { -readonly [K in keyof StopTiming]: StopTiming[K] } = brief ? { ...hasty } : {}
  const context: MemberContext = {
    dialing: { log, self, reaper, asks, redact, stop },
    slots: new SpawnSlots(),
    store,
    maxAge: config.catalog.maxAge,
  }
  const sealKey = randomBytes(32)
  const single = new Map<string, Gateway>()

  const crew = new Crew({
    config,
    make: backend => memberOf(backend, context),
    gateways: () => [gateway, ...single.values()],
    seat(members, next) {
      running = next
      // Tools stay, and still a client may see them otherwise.
      const retold = profiles.reread(gateway.known.tools) ? (['tools'] as const) : []
      gateway.replace({ ...together(members, next), retold })
      for (const [alias, each] of single) each.replace({ ...apart(alias, members, next), retold })
    },
    log,
  })
  let running = config
  const calls = telemetry({ log, lines: debug, owner: ({ params, method }) => ownerOf(gateway, method, params) })
  const common = { self, describeWaitMs, log, middleware: [calls.middleware] }
  const gateway = createGateway({ ...common, ...together(crew.members, config) })
  const lifecycle =
    load && followFiles({ loaded, files: [places.credentials], load, apply: fresh => crew.apply(fresh.config), log })
  void sweep(places.runtime, { log })

  const profiles = createProfiles(() => running.clients)
  const serveOptions = (of: Gateway, principal: string, client?: string): ServeOptions => ({
    gateway: profiles.fitted(of, client),
    principal,
    log,
    sealKey,
    get nameAsker() {
      return of.members.length > 1
    },
    asks,
  })
  const serveChannel = (channel: Channel, lastAskId?: number, client?: string): Serving =>
    serve(channel, Object.assign(serveOptions(gateway, 'local', client), { lastAskId }))

  return {
    gateway,
    askKind,
    status: () => ({
      version,
      pid: process.pid,
      uptimeMs: Math.round(performance.now() - started),
      backends: gateway.status(),
      ...(profiles.status().length > 0 ? { adapted: profiles.status() } : {}),
      ...(lifecycle?.last ? { lastReload: lifecycle.last } : {}),
    }),
    alone(alias) {
      if (!crew.members.some(member => member.alias === alias)) return undefined
      const known = single.get(alias)
      if (known) return known
      const made = createGateway({ ...common, ...apart(alias, crew.members, running) })
      single.set(alias, made)
      return made
    },
    serveOptions,
    serve: serveChannel,
    serveStdio: (input, output, lastAskId, client) => {
      // What is not known from earlier is started while the client still says hello.
      void gateway.warm()
      return serveChannel(stdioChannel(input, output, { log }), lastAskId, client)
    },
    reload: async () => lifecycle?.reload(),
    async close(hurry = false) {
      if (hurry) Object.assign(stop, hasty)
      lifecycle?.close()
      await Promise.all([gateway.close(), crew.close()])
      await Promise.all([reaper.close(), store?.settled()])
    },
  }
}

const together = (members: readonly SurfaceMember[], { names, startWait }: Config): Seating => ({
  members, names, startWaitMs: startWait,
})

/** Nobody's names can clash with those of one alone. */
const apart = (alias: string, members: readonly SurfaceMember[], config: Config): Seating =>
  together(members.filter(member => member.alias === alias), { ...config, names: { ...config.names, prefix: 'never' } })

/** For log lines only. */
function ownerOf({ known }: Gateway, method: string, { name, uri }: JsonObject): string | undefined {
  if (typeof uri === 'string') return known.resource(uri)?.alias
  if (typeof name !== 'string') return undefined
  return (method === 'prompts/get' ? known.prompt(name) : known.tool(name))?.alias
}
