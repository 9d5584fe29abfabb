/**
 * Fetches what a server offers: every page of its lists, within bounds, each list for itself so that one that fails
 * does not sink the others. Keeps no state.
 */
import { CancelSource } from './cancellation.ts'
import type { ClientProfile, Complete, Connection, Freshness, JsonObject, ListKind } from './contract.ts'
import { McpError, rpcCodes } from './errors.ts'
import { isObject, sameJson } from './json.ts'
import type { Log } from './log.ts'
import { seconds } from './refusals.ts'

export const parts = ['tools', 'prompts', 'resources', 'templates'] as const
export type Part = (typeof parts)[number]

/** Which parts a list change is about: templates have no news of their own. */
export const partsOf: Readonly<Record<ListKind, readonly Part[]>> = {
  tools: ['tools'],
  prompts: ['prompts'],
  resources: ['resources', 'templates'],
}

const listed: Readonly<Record<Part, { method: string; field: string; capability: string }>> = {
  tools: { method: 'tools/list', field: 'tools', capability: 'tools' },
  prompts: { method: 'prompts/list', field: 'prompts', capability: 'prompts' },
  resources: { method: 'resources/list', field: 'resources', capability: 'resources' },
  templates: { method: 'resources/templates/list', field: 'resourceTemplates', capability: 'resources' },
}

/** Bounds of one list; `bytes` (of JSON) bounds all lists of one fetch together. */
const limits = { pages: 256, items: 10_000, bytes: 16 * 1024 * 1024 }

export interface FetchOptions {
  readonly alias: string
  /** In whose name. */
  readonly self: ClientProfile
  /** The server's `ServerCapabilities`: a list it does not claim is not asked for. */
  readonly capabilities: JsonObject
  readonly wanted: Iterable<Part>
  /** Milliseconds for each list. */
  readonly limitMs: number
  readonly log: Log
}

export interface List {
  readonly items: readonly JsonObject[]
  readonly freshness: Freshness | undefined
}

/** A list, or why there is none. */
export type Fetched = ReadonlyMap<Part, List | McpError>

/** Never rejects. */
export async function fetchLists(connection: Connection, options: FetchOptions): Promise<Fetched> {
  const budget = { bytes: limits.bytes }
  const wanted = [...options.wanted]
  const lists = await Promise.all(
    wanted.map(async part => {
      if (!options.capabilities[listed[part].capability]) return { items: [], freshness: undefined }
      try {
        return await drain(connection, part, options, budget)
      } catch (thrown) {
        return thrown instanceof McpError ? thrown : new McpError('BACKEND_PROTOCOL', `${options.alias}: ${part} could not be read`, { cause: thrown })
      }
    }),
  )
  return new Map(wanted.map((part, index) => [part, lists[index] as List | McpError]))
}

/** The strictest: the shortest life, private if any is. Undefined where nothing was said. */
export function strictest(all: Iterable<Freshness | undefined>): Freshness | undefined {
  let strict: Freshness | undefined
  for (const each of all) {
    if (!each) continue
    strict = strict
      ? { ttlMs: Math.min(strict.ttlMs, each.ttlMs), scope: strict.scope === 'private' ? 'private' : each.scope }
      : each
  }
  return strict
}

async function drain(connection: Connection, part: Part, options: FetchOptions, budget: { bytes: number }): Promise<List> {
  const { alias, log } = options
  const { method, field } = listed[part]
  const items: JsonObject[] = []
  const freshness: (Freshness | undefined)[] = []
  const cursors = new Set<string>()
  let cursor: string | undefined
  let before: readonly unknown[] | undefined
  const stop = (why: string): List => {
    log.warn({ method }, `${alias}: ${method} ${why}; ${items.length} ${part} are kept`)
    return { items, freshness: strictest(freshness) }
  }
  const cancellation = new CancelSource()
  const deadline = within(options.limitMs, cancellation, `${alias} did not finish ${method} within ${seconds(options.limitMs)}`)
  try {
    for (let pages = 0; pages < limits.pages; pages++) {
      const params: JsonObject = cursor === undefined ? {} : { cursor }
      const page = await Promise.race([ask(connection, method, params, options.self, cancellation), deadline.expired])
      if (!page) return { items, freshness: undefined }
      const found = page.result[field]
      if (!Array.isArray(found)) throw new McpError('BACKEND_PROTOCOL', `${alias}: ${method} was answered without a list of ${field}`)
      // A server that does not know cursors sends its one page again and again.
      if (before && found.length > 0 && sameJson(before, found)) return stop('repeats a page')
      before = found
      freshness.push(page.freshness)
      for (const item of found) {
        if (!isObject(item)) continue
        budget.bytes -= JSON.stringify(item).length
        if (items.length >= limits.items || budget.bytes < 0) return stop('offers more than we hold')
        items.push(item)
      }
      const next = page.result['nextCursor']
      // Cursors are opaque and may be empty (spec, server/utilities/pagination).
      if (typeof next !== 'string') return { items, freshness: strictest(freshness) }
      if (cursors.has(next)) return stop('repeats a cursor')
      cursors.add(next)
      cursor = next
    }
    return stop('has no end')
  } finally {
    deadline.clear()
  }
}

/** One page; undefined when the server does not know the method after all. */
async function ask(
  connection: Connection,
  method: string,
  params: JsonObject,
  client: ClientProfile,
  cancellation: CancelSource,
): Promise<Complete | undefined> {
  try {
    const outcome = await connection.handle({ method, params, client, cancellation })
    if (outcome.kind === 'complete') return outcome
  } catch (error) {
    if (error instanceof McpError && (error.code === 'METHOD_NOT_FOUND' || error.details.rpc?.code === rpcCodes.methodNotFound)) return undefined
    throw error
  }
  throw new McpError('BACKEND_PROTOCOL', `${method} was answered with a question`)
}

function within(ms: number, cancellation: CancelSource, text: string): { expired: Promise<never>; clear: () => void } {
  let timer: NodeJS.Timeout | undefined
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new McpError('BACKEND_TIMEOUT', text))
      cancellation.cancel(text)
    }, ms)
  })
  expired.catch(() => {})
  return { expired, clear: () => clearTimeout(timer) }
}
