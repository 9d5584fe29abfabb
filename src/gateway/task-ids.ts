/**
 * Task ids both ways: a public one carries the alias of the backend that made it. Pure spelling; that an id belongs to
 * the one who asks is checked elsewhere, since anybody can spell one.
 */
import type { JsonObject } from './contract.ts'
import { isObject } from './json.ts'

/** Ties a message to a task (spec 2025-11-25, basic/utilities/tasks). */
export const relatedTask = 'io.modelcontextprotocol/related-task'

export interface TaskRoute {
  readonly alias: string
  readonly own: string
}

/**
 * `<alias>.<own id>` where the own id is of `[A-Za-z0-9_-]`, else `<alias>.~<base64url of its UTF-16>`: safe in a header
 * (`Mcp-Name`) and exact for any string.
 */
export const publicTaskId = (alias: string, own: string): string =>
  /^[A-Za-z0-9_-]+$/.test(own) ? `${alias}.${own}` : `${alias}.~${Buffer.from(own, 'utf16le').toString('base64url')}`

/** Undefined for what cannot be one of ours. Whether there is such an alias is for the caller to see. */
export function parseTaskId(id: unknown): TaskRoute | undefined {
  if (typeof id !== 'string') return undefined
  // Aliases have dots, own parts have none.
  const dot = id.lastIndexOf('.')
  if (dot <= 0) return undefined
  const [alias, text] = [id.slice(0, dot), id.slice(dot + 1)]
  const own = text.startsWith('~') ? Buffer.from(text.slice(1), 'base64url').toString('utf16le') : text
  return publicTaskId(alias, own) === id ? { alias, own } : undefined
}

/** An object with a `taskId` of the backend (a task, a status notification's params), with the public one. */
export function publicTask<T>(alias: string, task: T): T {
  if (!isObject(task) || typeof task['taskId'] !== 'string') return task
  return { ...task, taskId: publicTaskId(alias, task['taskId']) }
}

/** Field of an interest that names tasks to hear of (tasks extension of spec 2026-07-28). */
const followed = 'taskIds'

/** What a listener wants to hear of as the backend `alias` is to know it: of the tasks it names, those of that backend it may name. */
export function ownFollowed(alias: string, extra: JsonObject | undefined, may: (id: string) => boolean): JsonObject | undefined {
  const ids = extra?.[followed]
  if (!Array.isArray(ids) || ids.length === 0) return extra
  const own = ids.flatMap(id => {
    const route = parseTaskId(id)
    return route?.alias === alias && may(id as string) ? [route.own] : []
  })
  if (own.length > 0) return { ...extra, [followed]: own }
  const { [followed]: _, ...rest } = extra as JsonObject
  return Object.keys(rest).length > 0 ? rest : undefined
}

/** What backends have granted of it, each under its alias, as one. */
export function joinedFollowed(grants: Iterable<readonly [alias: string, extra: JsonObject | undefined]>): JsonObject | undefined {
  let joined: JsonObject | undefined
  for (const [alias, extra] of grants) {
    const ids = extra?.[followed]
    const before = joined?.[followed]
    if (extra) joined = { ...joined, ...extra }
    if (!joined || !Array.isArray(ids)) continue
    const own = ids.map((id: unknown) => (typeof id === 'string' ? publicTaskId(alias, id) : id))
    joined[followed] = Array.isArray(before) ? [...(before as unknown[]), ...own] : own
  }
  return joined
}

/** Maps the id in `_meta` of a result or of a server's params; the same object where there is none. */
export const publicRelation = (alias: string, body: JsonObject): JsonObject => mapRelation(body, own => publicTaskId(alias, own))

/** Maps it back in what goes to the backend `alias`; an id of another backend stays as it is, which means nothing there. */
export const ownRelation = (alias: string, body: JsonObject): JsonObject =>
  mapRelation(body, id => {
    const route = parseTaskId(id)
    return route?.alias === alias ? route.own : id
  })

function mapRelation(body: JsonObject, map: (id: string) => string): JsonObject {
  const meta = body['_meta']
  if (!isObject(meta)) return body
  const related = meta[relatedTask]
  if (!isObject(related) || typeof related['taskId'] !== 'string') return body
  return { ...body, _meta: { ...meta, [relatedTask]: { ...related, taskId: map(related['taskId']) } } }
}
