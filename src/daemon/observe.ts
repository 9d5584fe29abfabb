/**
 * Of a line, what a relay has to know: what kind of message it is and its id. Long lines are not parsed where their ends say
 * enough. Knows no method.
 */
import type { Message } from '../transports/channel.ts'
import { headBytes, peek, tailBytes } from '../transports/peek.ts'

/** Up to here parsing costs less than it is worth to avoid, bytes. */
const parsedBytes = 16 * 1024

/** The messages of a line; empty = none that could be read. Of a long one only the envelope: no parameters, `method` unnamed. */
export function envelopes(line: Buffer): readonly Message[] {
  if (line.length > parsedBytes && line[0] === 0x7b) {
    const end = line.length - (line.at(-1) === 0x0a ? 1 : 0)
    const { id, part } = peek(line.subarray(0, headBytes), line.subarray(Math.max(0, end - tailBytes), end))
    if (id !== undefined && part !== undefined) return [{ jsonrpc: '2.0', id, ...(part === 'request' && { method: '' }) }]
  }
  try {
    const value: unknown = JSON.parse(line.toString('utf8'))
    return (Array.isArray(value) ? value : [value]).filter(isMessage)
  } catch {
    return []
  }
}

const isMessage = (value: unknown): value is Message => {
  if (typeof value !== 'object' || value === null) return false
  const { id, method } = value as { id?: unknown; method?: unknown }
  const hasId = typeof id === 'string' || typeof id === 'number'
  return (method === undefined && hasId) || (typeof method === 'string' && (id === undefined || hasId))
}
