/**
 * Whether a result that came in bytes can leave in them: what `publicResult` would change in it is looked for without
 * parsing it. When in doubt it cannot.
 */
import { isObject } from './json.ts'
import type { RawJson } from './raw.ts'
import { relatedTask } from './task-ids.ts'
import type { RequestedUri } from './rewrite.ts'

/** Types of content blocks that hold a URI, or blocks that may. */
const linking = ['"resource', '"tool_result']

/** `mapsUris`: URIs of that backend have another spelling for clients. */
export function leavesAsIs(raw: RawJson, method: string, mapsUris: boolean, requested: RequestedUri | undefined): boolean {
  switch (method) {
    case 'tools/call':
      return !raw.has('task') && !isRelated(raw) && !(mapsUris && raw.mentions('content', linking))
    case 'prompts/get':
      return !(mapsUris && raw.mentions('messages', linking))
    case 'resources/read':
      return !mapsUris && (!requested || requested.uri === requested.own)
    default:
      return false
  }
}

function isRelated(raw: RawJson): boolean {
  const meta = raw.get('_meta')
  return isObject(meta) && isObject(meta[relatedTask])
}
