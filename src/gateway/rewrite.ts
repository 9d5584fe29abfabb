/**
 * What a backend sends, as clients are to see it: its URIs and task ids under their public spelling, nothing else
 * touched. Whatever needs no change comes back as the very object that went in; nothing that went in is changed.
 */
import type { Ask, JsonObject } from './contract.ts'
import { isObject } from './json.ts'
import { parseTaskId, publicRelation, publicTask, type TaskRoute } from './task-ids.ts'

/** The part of a catalog that knows URIs. */
export interface UriSpelling {
  mapsUris(alias: string): boolean
  publicUri(alias: string, own: string): string
}

export interface Rewriter {
  /**
   * The result of `method`. Custom methods pass as they are. `variant` is the outcome's; `requested` is the URI a read
   * was asked for, so that its answer names it just so.
   */
  publicResult(alias: string, method: string, result: JsonObject, variant?: string, requested?: RequestedUri): JsonObject
  /** Params of `notifications/resources/updated`. */
  publicUpdate(alias: string, params: JsonObject): JsonObject
  /** Params of `notifications/message`: the logger says whose it is. */
  publicLog(alias: string, params: JsonObject): JsonObject
  /** Params of any other notification. */
  publicNotification(alias: string, method: string, params: JsonObject | undefined): JsonObject | undefined
  /** What a server asks of a client. */
  publicAsks(alias: string, asks: Readonly<Record<string, Ask>>): Readonly<Record<string, Ask>>
  publicAsk(alias: string, ask: Ask): Ask
  /** The id of the task that a public result says was made; undefined if it does not. */
  taskIdOf(result: JsonObject, variant?: string): string | undefined
  /** Whose a public task id is; undefined for what is none. Anybody can spell one: it proves nothing. */
  task(id: unknown): TaskRoute | undefined
}

export interface RequestedUri {
  readonly uri: string
  readonly own: string
}

type Change = (own: string) => string

/** Results of tools may stand in results of tools (`tool_result`); deeper than this they are no longer looked at. */
const maxDepth = 16

export function createRewriter(uris: UriSpelling): Rewriter {
  const changeFor = (alias: string): Change | undefined => (uris.mapsUris(alias) ? own => uris.publicUri(alias, own) : undefined)

  const toolResult = (alias: string, result: JsonObject): JsonObject => {
    const change = changeFor(alias)
    const linked = change ? mapKey(result, 'content', content => mapList(content, block => mapBlock(block, change))) : result
    const task = linked['task']
    return isTask(task) ? { ...linked, task: publicTask(alias, task) } : linked
  }

  const publicAsk = (alias: string, ask: Ask): Ask => {
    if (!ask.params) return ask
    const change = changeFor(alias)
    const linked = change ? mapKey(ask.params, 'messages', messages => mapMessages(messages, change)) : ask.params
    const params = publicRelation(alias, linked)
    return params === ask.params ? ask : { ...ask, params }
  }

  const publicAsks = (alias: string, asks: Readonly<Record<string, Ask>>): Readonly<Record<string, Ask>> => {
    const entries = Object.entries(asks)
    // Those that stand in a task are passed on whatever their shape.
    const changed = entries.map(([key, ask]) => [key, isObject(ask) ? publicAsk(alias, ask) : ask] as const)
    return changed.every(([, ask], i) => ask === entries[i]?.[1]) ? asks : Object.fromEntries(changed)
  }

  /** `tasks/…` of both designs: the flat task, what it asks, a list of them, and a tool's result, bare or under `result`. */
  const taskResult = (alias: string, result: JsonObject): JsonObject => {
    let out = publicTask(alias, toolResult(alias, result))
    out = mapKey(out, 'inputRequests', asks => (isObject(asks) ? publicAsks(alias, asks as Record<string, Ask>) : asks))
    out = mapKey(out, 'tasks', tasks => mapList(tasks, task => publicTask(alias, task)))
    return mapKey(out, 'result', inner => (isObject(inner) ? publicRelation(alias, toolResult(alias, inner)) : inner))
  }

  return {
    publicResult(alias, method, result, variant, requested) {
      switch (method) {
        case 'tools/call': {
          const out = variant === 'task' ? taskResult(alias, result) : toolResult(alias, result)
          return publicRelation(alias, out)
        }
        case 'prompts/get': {
          const change = changeFor(alias)
          return change ? mapKey(result, 'messages', messages => mapMessages(messages, change)) : result
        }
        case 'resources/read': {
          const change = changeFor(alias)
          if (!change && (!requested || requested.uri === requested.own)) return result
          const spell: Change = own => (own === requested?.own ? requested.uri : change ? change(own) : own)
          return mapKey(result, 'contents', contents => mapList(contents, content => mapUri(content, spell)))
        }
        default:
          return method.startsWith('tasks/') ? publicRelation(alias, taskResult(alias, result)) : result
      }
    },
    publicUpdate(alias, params) {
      const change = changeFor(alias)
      return change ? (mapUri(params, change) as JsonObject) : params
    },
    publicLog(alias, params) {
      const { logger } = params
      return publicRelation(alias, {
        ...params,
        logger: typeof logger === 'string' && logger !== '' ? `${alias}/${logger}` : alias,
      })
    },
    publicNotification(alias, method, params) {
      if (!params) return params
      const isOfTasks = method === 'notifications/tasks' || method.startsWith('notifications/tasks/')
      return publicRelation(alias, isOfTasks ? taskResult(alias, params) : params)
    },
    publicAsk,
    publicAsks,
    taskIdOf(result, variant) {
      const task = variant === 'task' ? result : result['task']
      const id = isObject(task) && (variant === 'task' || isTask(task)) ? task['taskId'] : undefined
      return typeof id === 'string' ? id : undefined
    },
    task: parseTaskId,
  }
}

/** A tool's own field named `task` is no task: one has an id and a status (spec 2025-11-25, basic/utilities/tasks). */
const isTask = (value: unknown): value is JsonObject =>
  isObject(value) && typeof value['taskId'] === 'string' && typeof value['status'] === 'string'

function mapKey(body: JsonObject, key: string, map: (value: unknown) => unknown): JsonObject {
  const before = body[key]
  if (before === undefined) return body
  const after = map(before)
  return after === before ? body : { ...body, [key]: after }
}

function mapList(list: unknown, map: (item: unknown) => unknown): unknown {
  if (!Array.isArray(list)) return list
  let out: unknown[] | undefined
  for (let i = 0; i < list.length; i++) {
    const after = map(list[i])
    if (after !== list[i]) (out ??= list.slice())[i] = after
  }
  return out ?? list
}

function mapUri(item: unknown, change: Change): unknown {
  if (!isObject(item) || typeof item['uri'] !== 'string') return item
  const uri = change(item['uri'])
  return uri === item['uri'] ? item : { ...item, uri }
}

/** A content block: resource links, embedded resources, and what tool results hold of them. */
function mapBlock(block: unknown, change: Change, depth = 0): unknown {
  if (!isObject(block)) return block
  switch (block['type']) {
    case 'resource_link':
      return mapUri(block, change)
    case 'resource':
      return mapKey(block, 'resource', resource => mapUri(resource, change))
    case 'tool_result':
      if (depth === maxDepth) return block
      return mapKey(block, 'content', content => mapList(content, inner => mapBlock(inner, change, depth + 1)))
    default:
      return block
  }
}

/** Messages of prompts and of what servers ask: the content is one block or several. */
const mapMessages = (messages: unknown, change: Change): unknown =>
  mapList(messages, message =>
    isObject(message)
      ? mapKey(message, 'content', content =>
          Array.isArray(content) ? mapList(content, block => mapBlock(block, change)) : mapBlock(content, change),
        )
      : message,
  )
