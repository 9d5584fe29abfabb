/** Listen filters: joining, comparing, reading and writing them (2026-07-28 basic/patterns/subscriptions). Pure. */
import type { Granted, Interest, JsonObject, ListKind } from '../../gateway/contract.ts'
import { isObject } from '../asks.ts'
import { listFields, listKinds, resourcesField } from './wire.ts'

export interface Filter {
  readonly lists: ReadonlySet<ListKind>
  readonly resources: ReadonlySet<string>
  /** Fields of extensions, such as `taskIds`. */
  readonly extra: JsonObject
}

const knownFields: ReadonlySet<string> = new Set([...Object.values(listFields), resourcesField])

/** The fields of a wire filter that extensions define. */
export const extraFields = (filter: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(filter).filter(([field]) => !knownFields.has(field)))

export function writeFilter(lists: Iterable<ListKind>, resources: Iterable<string>, extra: JsonObject | undefined): JsonObject {
  const filter: JsonObject = { ...extra }
  for (const kind of lists) filter[listFields[kind]] = true
  const uris = [...resources]
  if (uris.length > 0) filter[resourcesField] = uris
  return filter
}

/** What a server says it honours; misshapen parts count as not honoured. */
export function readFilter(value: unknown): Filter {
  const filter = isObject(value) ? value : {}
  const uris = filter[resourcesField]
  return {
    lists: new Set(listKinds.filter(kind => filter[listFields[kind]] === true)),
    resources: new Set(Array.isArray(uris) ? uris.filter(uri => typeof uri === 'string') : []),
    extra: extraFields(filter),
  }
}

/** All that any of them wants. */
export function joined(interests: Iterable<Interest>): Filter {
  const lists = new Set<ListKind>()
  const resources = new Set<string>()
  const extra: JsonObject = {}
  for (const interest of interests) {
    for (const kind of interest.lists) lists.add(kind)
    for (const uri of interest.resources) resources.add(uri)
    for (const [field, value] of Object.entries(interest.extra ?? {})) {
      const before = extra[field]
      extra[field] = Array.isArray(before) && Array.isArray(value) ? [...new Set([...before, ...value])] : value
    }
  }
  return { lists, resources, extra }
}

/** The part that a server with these capabilities may honour; asking for more is noise. */
export function supported({ lists, resources, extra }: Filter, capabilities: JsonObject): Filter {
  const has = (kind: string, feature: string) => isObject(capabilities[kind]) && capabilities[kind][feature] === true
  return {
    lists: new Set([...lists].filter(kind => has(kind, 'listChanged'))),
    resources: has('resources', 'subscribe') ? resources : new Set(),
    extra: isObject(capabilities['extensions']) ? extra : {},
  }
}

export const isEmpty = ({ lists, resources, extra }: Filter): boolean =>
  lists.size === 0 && resources.size === 0 && Object.keys(extra).length === 0

/** Whether a stream with filter `a` tells all that `b` wants. */
export function covers(a: Filter, b: Filter): boolean {
  for (const kind of b.lists) if (!a.lists.has(kind)) return false
  for (const uri of b.resources) if (!a.resources.has(uri)) return false
  return Object.entries(b.extra).every(([field, value]) => {
    const carried = a.extra[field]
    if (Array.isArray(carried) && Array.isArray(value)) return value.every(each => carried.includes(each))
    return JSON.stringify(carried) === JSON.stringify(value)
  })
}

/** What of one interest a server honours. `reason`: why the rest is refused. */
export function grantedOf(interest: Interest, honoured: Filter | undefined, reason: Error): Granted {
  const { extra } = interest
  const fields = Object.keys(extra ?? {}).filter(field => honoured && Object.hasOwn(honoured.extra, field))
  return {
    lists: interest.lists.filter(kind => honoured?.lists.has(kind)),
    resources: interest.resources.filter(uri => honoured?.resources.has(uri)),
    refused: new Map(interest.resources.filter(uri => !honoured?.resources.has(uri)).map(uri => [uri, reason])),
    ...(fields.length > 0 ? { extra: Object.fromEntries(fields.map(field => [field, extra?.[field]])) } : {}),
  }
}

/** Whether news of `uri` is news for a subscriber of `subscribed`: that resource or one below it. */
export function touches(subscribed: string, uri: string): boolean {
  if (!uri.startsWith(subscribed)) return false
  return uri.length === subscribed.length || subscribed.endsWith('/') || '/?#'.includes(uri[subscribed.length] as string)
}
