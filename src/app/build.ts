/**
 * The house on one page: what a loaded config becomes. Dialers, members, the order of the middleware and the ways in are
 * chosen here and nowhere else.
 */
import { randomBytes } from 'node:crypto'
import type { Readable, Writable } from 'node:stream'
import type { BackendConfig } from '../config/config.ts'
import type { Loaded } from '../config/load.ts'
import type { Places } from '../config/places.ts'
import { askKind, serve, type AskLimits, type ServeOptions, type Serving } from '../eras/era.ts'
import type { BackendStatus, JsonObject, Member } from '../gateway/contract.ts'
import { createGateway, type Gateway } from '../gateway/gateway.ts'
import type { Log } from '../gateway/log.ts'
import { createMember } from '../gateway/member.ts'
import { SpawnSlots } from '../gateway/spawn-slots.ts'
import { disabledMember, heldMember } from '../gateway/stand-in.ts'
import type { SurfaceMember } from '../gateway/surface.ts'
import { matchesGlob } from '../gateway/filters.ts'
import type { Channel } from '../transports/channel.ts'
import { Reaper } from '../transports/reaper.ts'
import { stdioChannel } from '../transports/stdio.ts'
import { sweep } from '../transports/sweep.ts'
import { instanceSpecs, type DialContext } from './dial.ts'
import { telemetry } from './telemetry.ts'
import { memoryVerdicts } from './verdicts.ts'
import { packageName, version } from './version.ts'

export interface BuildOptions {
  readonly log: Log
  readonly places: Places
  /** Takes secrets out of a text. */
  readonly redact: (text: string) => string
  /** Whether debug lines are written. */
  readonly debug: boolean
}

export interface ProxyStatus {
  readonly version: string
  readonly pid: number
  readonly uptimeMs: number
  readonly backends: readonly BackendStatus[]
}

export interface House {
  readonly gateway: Gateway
  readonly askKind: typeof askKind
  status(): ProxyStatus
  /** One backend alone, under its own names; undefined = no such alias. */
  alone(alias: string): Gateway | undefined
  /** What a client's side of the house needs, for a way in of its own. */
  serveOptions(gateway: Gateway, principal: string): ServeOptions
  serve(channel: Channel): Serving
  serveStdio(input: Readable, output: Writable): Serving
  /** Stops every server. */
  close(): Promise<void>
}

/** A call may ask a person this often; each round may take the ten minutes people take. */
const asks: AskLimits = { rounds: 16, waitMs: 600_000, parked: 256 }
/** How long the opening answer waits for servers never seen before, milliseconds. */
const describeWaitMs = 500

export function build({ config }: Loaded, { log, places, redact, debug }: BuildOptions): House {
  const started = performance.now()
  const self: JsonObject = { name: packageName, title: 'mcp-proxy', version }
  const reaper = new Reaper({ runDir: places.runtime, log })
  const up = new Set<string>()
  const dialing: DialContext = {
    log, self, reaper, asks, redact,
    verdicts: memoryVerdicts(),
    wasUp: alias => up.has(alias),
  }
  const slots = new SpawnSlots()
  const sealKey = randomBytes(32)

  function member(backend: BackendConfig): Member {
    const { alias, transport, problems } = backend
    if (!backend.enabled) return disabledMember(alias, transport)
    const [problem] = problems
    if (problem)
      return heldMember(alias, transport, { stage: 'resolve', message: `${problem.message} (${problem.file}:${problem.line}:${problem.column})`, at: new Date().toISOString() })
    const created = createMember({
      alias,
      policy: backend,
      specs: instanceSpecs(backend, dialing),
      slots,
      maxAge: config.catalog.maxAge,
      idempotent: (method, name) => method === 'tools/call' && name !== undefined && backend.idempotent.some(glob => matchesGlob(glob, name)),
      log: log.child({ backend: alias }),
    })
    created.onOffer(() => up.add(alias))
    return created
  }

  const members: SurfaceMember[] = config.backends.map(backend => {
    const { alias, tools, prompts, resources } = backend
    return { alias, member: member(backend), rules: { tools, prompts, resources } }
  })
  const calls = telemetry({ log, lines: debug, owner: ({ params, method }) => ownerOf(gateway, method, params) })
  const common = { self, startWaitMs: config.startWait, describeWaitMs, log, middleware: [calls.middleware] }
  const gateway = createGateway({ ...common, members, names: config.names })
  const single = new Map<string, Gateway>()
  void sweep(places.runtime, { log })

  const serveOptions = (of: Gateway, principal: string): ServeOptions => ({
    gateway: of,
    principal,
    log,
    sealKey,
    nameAsker: of.members.length > 1,
    asks,
  })
  const serveChannel = (channel: Channel): Serving => serve(channel, serveOptions(gateway, 'local'))

  return {
    gateway,
    askKind,
    status: () => ({ version, pid: process.pid, uptimeMs: Math.round(performance.now() - started), backends: gateway.status() }),
    alone(alias) {
      const known = single.get(alias)
      if (known) return known
      const only = members.find(candidate => candidate.alias === alias)
      if (!only) return undefined
      const made = createGateway({ ...common, members: [only], names: { ...config.names, prefix: 'never' } })
      single.set(alias, made)
      return made
    },
    serveOptions,
    serve: serveChannel,
    serveStdio: (input, output) => {
      // What is not known from earlier is started while the client still says hello.
      void gateway.warm()
      return serveChannel(stdioChannel(input, output, { log }))
    },
    async close() {
      await gateway.close()
      await reaper.close()
    },
  }
}

/** For log lines only. */
function ownerOf({ known }: Gateway, method: string, { name, uri }: JsonObject): string | undefined {
  if (typeof uri === 'string') return known.resource(uri)?.alias
  if (typeof name !== 'string') return undefined
  return (method === 'prompts/get' ? known.prompt(name) : known.tool(name))?.alias
}
