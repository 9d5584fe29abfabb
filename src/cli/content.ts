/** Results as people read them: text as it is, what is not text by kind and size. Pure. */
import type { JsonObject } from '../gateway/contract.ts'

const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)
const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
const pretty = (value: unknown): string => JSON.stringify(value, null, 2)

/** A tool's result: its content, and its structured content where that says more. */
export function toolText(result: JsonObject): string {
  const blocks = Array.isArray(result['content']) ? result['content'] : []
  const lines = blocks.map(blockText)
  const structured = result['structuredContent']
  if (structured !== undefined && !blocks.some(block => repeats(block, structured))) lines.push(pretty(structured))
  // An extension's result has neither: better all of it than nothing.
  if (lines.length === 0 && !Array.isArray(result['content'])) return pretty(result)
  return lines.join('\n')
}

/** Servers repeat structured content for older clients, as JSON text or as its only text; once is enough for a person. */
function repeats(block: unknown, structured: unknown): boolean {
  if (!isObject(block) || typeof block['text'] !== 'string') return false
  if (isObject(structured)) {
    const [only, ...more] = Object.values(structured)
    if (more.length === 0 && only === block['text']) return true
  }
  try {
    return JSON.stringify(JSON.parse(block['text'])) === JSON.stringify(structured)
  } catch {
    return false
  }
}

/** One content block of any type; a type from the future is shown as JSON. */
export function blockText(block: unknown): string {
  if (!isObject(block)) return pretty(block)
  switch (block['type']) {
    case 'text':
      return textOf(block['text']) ?? pretty(block)
    case 'image':
    case 'audio':
      return `[${textOf(block['mimeType']) ?? String(block['type'])}, ${sizeOf(block['data'])}]`
    case 'resource_link':
      return `[${nameOf(block)}${kindOf(block)}] ${textOf(block['uri']) ?? ''}`.trimEnd()
    case 'resource':
      return isObject(block['resource']) ? resourceText(block['resource'], true) : pretty(block)
    default:
      return pretty(block)
  }
}

/** What `resources/read` gave. */
export const readText = (result: JsonObject): string => {
  const contents = Array.isArray(result['contents']) ? result['contents'] : []
  return contents.map(item => (isObject(item) ? resourceText(item, contents.length > 1) : pretty(item))).join('\n')
}

/** The bytes of a result that is one binary resource; undefined for any other. */
export function onlyBlob(result: JsonObject): Buffer | undefined {
  const contents = Array.isArray(result['contents']) ? result['contents'] : []
  const [only] = contents
  return contents.length === 1 && isObject(only) && typeof only['blob'] === 'string'
    ? Buffer.from(only['blob'], 'base64')
    : undefined
}

/** What `prompts/get` gave: each message behind its role. */
export const promptText = (result: JsonObject): string =>
  (Array.isArray(result['messages']) ? result['messages'] : [])
    .map(message => (isObject(message) ? `${String(message['role'])}: ${blockText(message['content'])}` : pretty(message)))
    .join('\n\n')

function resourceText(resource: JsonObject, named: boolean): string {
  const uri = textOf(resource['uri']) ?? ''
  const text = textOf(resource['text'])
  if (text !== undefined) return named ? `[${uri}${kindOf(resource)}]\n${text}` : text
  if (typeof resource['blob'] === 'string')
    return `[${textOf(resource['mimeType']) ?? 'binary'}, ${sizeOf(resource['blob'])}] ${uri}`.trimEnd()
  return pretty(resource)
}

const nameOf = (item: JsonObject): string => textOf(item['title']) ?? textOf(item['name']) ?? 'resource'
const kindOf = (item: JsonObject): string => (typeof item['mimeType'] === 'string' ? `, ${item['mimeType']}` : '')

/** Size of what base64 text stands for, in words. */
function sizeOf(base64: unknown): string {
  if (typeof base64 !== 'string') return 'empty'
  const bytes = Math.floor((base64.replace(/[=\s]+/g, '').length * 3) / 4)
  if (bytes < 1024) return `${bytes} B`
  return bytes < 1024 ** 2 ? `${Math.round(bytes / 1024)} KB` : `${(bytes / 1024 ** 2).toFixed(1)} MB`
}
