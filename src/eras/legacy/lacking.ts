/**
 * Calls that fail because their client cannot do what the server asked of it: told as such to clients whose revision wants
 * that. A call that succeeds did without. Judges by what was asked and refused, never by what the server says.
 */
import type { Call, Complete, JsonObject } from '../../gateway/contract.ts'
import { McpError } from '../../gateway/errors.ts'
import { askableOf } from '../abilities.ts'
import { isObject, quoted, undeclared } from '../asks.ts'
import type { Shortfalls } from '../shortfalls.ts'
import type { OpenCall } from './open-call.ts'
import { holdsOpen } from './wire.ts'

export interface Lacking {
  readonly backend: string
  readonly shortfalls: Shortfalls
  /** The server was told what the clients of this connection can do: it need not ask to know that it cannot. */
  readonly told: boolean
}

/** The error `open` ends with instead of `ended`; undefined = it ends as it is (2026-07-28 basic/index, "Capabilities"). */
export function unmet(open: OpenCall, ended: Complete | McpError, { backend, shortfalls, told }: Lacking): McpError | undefined {
  const { call, lacking } = open
  const known = shortfalls.of(call)
  if ((!lacking && !known) || !isOver(call, ended)) return undefined
  const declared = askableOf(call.client)
  const said = failureOf(call.method, ended)
  if (said === undefined) {
    if (known && undeclared(known, declared)) shortfalls.forget(call)
    return undefined
  }
  if (lacking) shortfalls.add(call, lacking)
  if (holdsOpen(call.client)) return undefined
  const needed = lacking ?? (told ? known : undefined)
  // A later round may come with more abilities than the first.
  const requires = needed && undeclared(needed, declared)
  if (!requires) return undefined
  const message = `${backend}: this needs what the client has not declared (${pathsOf(requires)}); the server said: ${quoted(said)}`
  return new McpError('ASK_UNSUPPORTED', message, { backend, requires, ...(ended instanceof McpError ? { cause: ended } : {}) })
}

/** Whether the server itself brought it to its end. What was cancelled, cut off or goes on as a task tells nothing. */
function isOver({ params }: Call, ended: Complete | McpError): boolean {
  if (ended instanceof McpError) return ended.code === 'BACKEND_ERROR'
  return params['task'] === undefined || !isObject(ended.result['task'])
}

/** What the server said of its failure; undefined = it has not failed. */
function failureOf(method: string, ended: Complete | McpError): string | undefined {
  if (ended instanceof McpError) return ended.message
  if (method !== 'tools/call') return undefined
  const field = (name: string): unknown => (ended.raw ? ended.raw.get(name) : ended.result[name])
  if (field('isError') !== true) return undefined
  const content = field('content')
  const texts = Array.isArray(content) ? content.filter(isObject).map(({ text }) => text) : []
  return texts.filter(text => typeof text === 'string').join('\n')
}

/** `{sampling: {tools: {}}}` as `sampling.tools`. */
function pathsOf(requires: JsonObject): string {
  const paths = Object.entries(requires).flatMap(([feature, parts]) => {
    const inner = isObject(parts) ? Object.keys(parts) : []
    return inner.length === 0 ? [feature] : inner.map(part => `${feature}.${part}`)
  })
  return paths.join(', ')
}
