/**
 * Makes results and errors fit a legacy client: only what its revision cannot carry is changed, and an object that fits
 * is returned as it is. Unknown fields and block types are carried by every revision. Pure.
 */
import type { JsonObject } from '../../gateway/contract.ts'
import { McpError, rpcCodes, toMcpError } from '../../gateway/errors.ts'
import type { RawJson } from '../../gateway/raw.ts'
import { isObject } from '../asks.ts'
import { newestRevision, resourceNotFound } from './wire.ts'

/** A result of `method` for a client of `revision`; the same object where nothing stands in the way. */
export function fitResult(method: string, result: JsonObject, revision: string): JsonObject {
  switch (method) {
    case 'tools/call':
    case 'tasks/result':
      return fitToolResult(result, revision)
    case 'tools/list':
      return revision < newestRevision ? fitTools(result) : result
    case 'prompts/get':
      return revision < '2025-06-18' ? fitPrompt(result, revision) : result
    default:
      return result
  }
}

/** The same for a result in bytes; parsed only where the revision may lack something. */
export function fitRaw(method: string, raw: RawJson, revision: string): RawJson | JsonObject {
  if (revision >= newestRevision) return raw
  if (method === 'tools/call' && revision >= '2025-06-18' && !raw.has('structuredContent')) return raw
  const result = raw.value()
  const fitted = fitResult(method, result, revision)
  return fitted === result ? raw : fitted
}

/**
 * Structured content that is no object came with the newer protocol (SEP-2106). The newest legacy revision gets it all the
 * same: nothing is degraded for it. Before that a text stands for it.
 */
function fitToolResult(result: JsonObject, revision: string): JsonObject {
  const structured = result['structuredContent']
  const misfit = structured !== undefined && !isObject(structured)
  if (revision >= (misfit ? newestRevision : '2025-06-18')) return result
  const given = Array.isArray(result['content']) ? (result['content'] as unknown[]) : []
  let content = fitBlocks(given, revision)
  const told = structured === undefined || (misfit ? content.some(isText) : content.length > 0)
  if (!told) content = [...content, { type: 'text', text: JSON.stringify(structured) }]
  if (!misfit && content === given) return result
  const fitted: JsonObject = { ...result, content }
  if (misfit) delete fitted['structuredContent']
  return fitted
}

/** One tool whose output schema is no object schema makes older official clients refuse the whole list: it goes without. */
function fitTools(result: JsonObject): JsonObject {
  const tools = result['tools']
  if (!Array.isArray(tools) || !tools.some(hasMisfitSchema)) return result
  return { ...result, tools: tools.map(tool => (hasMisfitSchema(tool) ? without(tool as JsonObject, 'outputSchema') : tool)) }
}

function hasMisfitSchema(tool: unknown): boolean {
  if (!isObject(tool)) return false
  const schema = tool['outputSchema']
  return schema !== undefined && !(isObject(schema) && schema['type'] === 'object')
}

function fitPrompt(result: JsonObject, revision: string): JsonObject {
  const messages = result['messages']
  if (!Array.isArray(messages)) return result
  let changed = false
  const fitted = messages.map(message => {
    const content = isObject(message) ? message['content'] : undefined
    const block = fitBlock(content, revision)
    if (block === content) return message as unknown
    changed = true
    return { ...(message as JsonObject), content: block }
  })
  return changed ? { ...result, messages: fitted } : result
}

function fitBlocks(blocks: unknown[], revision: string): unknown[] {
  let fitted = blocks
  for (let index = 0; index < blocks.length; index++) {
    const block = fitBlock(blocks[index], revision)
    if (block === blocks[index]) continue
    if (fitted === blocks) fitted = [...blocks]
    fitted[index] = block
  }
  return fitted
}

/** Block types that came with a later revision become text (2025-03-26 and 2025-06-18 changelogs). */
function fitBlock(block: unknown, revision: string): unknown {
  if (!isObject(block)) return block
  if (block['type'] === 'resource_link' && revision < '2025-06-18') {
    const title = block['title'] ?? block['name']
    const uri = String(block['uri'])
    return asText(block, typeof title === 'string' && title !== '' ? `${title}: ${uri}` : uri)
  }
  if (block['type'] === 'audio' && revision < '2025-03-26') return asText(block, `[audio: ${String(block['mimeType'])}]`)
  return block
}

function asText(block: JsonObject, text: string): JsonObject {
  const fitted: JsonObject = { type: 'text', text }
  for (const key of ['annotations', '_meta']) if (block[key] !== undefined) fitted[key] = block[key]
  return fitted
}

const isText = (block: unknown): boolean => isObject(block) && block['type'] === 'text'

function without(object: JsonObject, key: string): JsonObject {
  const rest = { ...object }
  delete rest[key]
  return rest
}

/** Faults of the hop behind us that mean nothing to a legacy client (2026-07-28 basic, error codes). */
const hopFaults: ReadonlySet<number> = new Set([-32020, -32021, -32022])

/** An error for a legacy client; a server's own stays as it came unless its number means something else here. */
export function fitError(method: string, params: JsonObject | undefined, thrown: unknown): McpError {
  const error = toMcpError(thrown)
  const { rpc } = error.details
  if (method === 'resources/read') {
    // The newer revision dropped the number of its own that a missing resource had.
    if (!rpc && error.code === 'UNKNOWN_NAME')
      return withRpc(error, { ...error.toRpc(), code: resourceNotFound, data: { code: error.code, uri: params?.['uri'] } })
    if (rpc?.code === rpcCodes.invalidParams && isObject(rpc.data) && typeof rpc.data['uri'] === 'string')
      return withRpc(error, { ...rpc, code: resourceNotFound })
  }
  if (rpc && hopFaults.has(rpc.code)) return new McpError('BACKEND_PROTOCOL', rpc.message, { ...error.details, rpc: undefined })
  return error
}

const withRpc = (error: McpError, rpc: NonNullable<McpError['details']['rpc']>): McpError =>
  new McpError(error.code, error.message, { ...error.details, rpc })
