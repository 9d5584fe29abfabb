/** The spelling of revision 2026-07-28: names, numbers and tables that both sides of the era share. No behaviour. */
import type { ListKind } from '../../gateway/contract.ts'

export const revision = '2026-07-28'
/** Revisions of this era we speak, best first. */
export const revisions: readonly string[] = [revision]

export const discoverMethod = 'server/discover'
export const listenMethod = 'subscriptions/listen'
export const acknowledgedMethod = 'notifications/subscriptions/acknowledged'
export const updatedMethod = 'notifications/resources/updated'

/** Reserved `_meta` keys (basic/index, "Per-request protocol fields"). */
export const metaKeys = {
  version: 'io.modelcontextprotocol/protocolVersion',
  client: 'io.modelcontextprotocol/clientInfo',
  capabilities: 'io.modelcontextprotocol/clientCapabilities',
  logLevel: 'io.modelcontextprotocol/logLevel',
  server: 'io.modelcontextprotocol/serverInfo',
  subscription: 'io.modelcontextprotocol/subscriptionId',
  progress: 'progressToken',
} as const

/** What belongs to one hop and is lifted off a request's `_meta`; every other key travels. */
export const envelopeKeys: ReadonlySet<string> = new Set([
  metaKeys.version,
  metaKeys.client,
  metaKeys.capabilities,
  metaKeys.logLevel,
  metaKeys.progress,
])

/** Error numbers only the specification may define (basic/index, "Error Codes"). */
export const headerMismatch = -32020
export const missingCapability = -32021
export const unsupportedVersion = -32022
export const isReservedCode = (code: number): boolean => code <= -32020 && code >= -32099
/** Numbers of earlier revisions that must no longer be emitted. */
export const resourceNotFoundBefore = -32002
export const urlElicitationBefore = -32042

/** Requests that may be answered with a demand for input (basic/patterns/mrtr, "Supported Requests"). */
export const resumable: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read'])

/** Results of ours rather than of one server. */
export const listMethods: ReadonlySet<string> = new Set([
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
])
/** Complete results of these carry `ttlMs` and `cacheScope` (server/utilities/caching). */
export const cacheable: ReadonlySet<string> = new Set([...listMethods, 'resources/read', discoverMethod])

/** Requests of earlier revisions that this one took away; a backend must not be asked for them in its name. */
export const removedRequests: ReadonlySet<string> = new Set([
  'initialize',
  'ping',
  'logging/setLevel',
  'resources/subscribe',
  'resources/unsubscribe',
  'tasks/list',
  'tasks/result',
])
/** Notifications of earlier revisions that mean nothing here; cancellation belongs to the hop. */
export const hopNotifications: ReadonlySet<string> = new Set([
  'notifications/initialized',
  'notifications/roots/list_changed',
  'notifications/cancelled',
])

export const tasksExtension = 'io.modelcontextprotocol/tasks'
export const taskVariant = 'task'
/** Sent on listen streams that named the task in `taskIds` (tasks extension). */
export const taskMethod = 'notifications/tasks'

export const listKinds: readonly ListKind[] = ['tools', 'prompts', 'resources']
/** Field of a listen filter that opts in to changes of a list. */
export const listFields: Readonly<Record<ListKind, string>> = {
  tools: 'toolsListChanged',
  prompts: 'promptsListChanged',
  resources: 'resourcesListChanged',
}
export const resourcesField = 'resourceSubscriptions'
export const changedMethod = (list: ListKind): string => `notifications/${list}/list_changed`

/** Which parameter names what a request is about, for the header field that mirrors it. Tasks: extension, "Routing Headers". */
export const nameSources: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
}
