/**
 * Of a line, what a relay has to know: what kind of message it is and its id, and of a client's what a next daemon may have to be
 * told. Long lines are not parsed where their ends say enough. Of methods it knows only the one whose lines are long.
 */
import type { Message } from '../transports/channel.ts'
import { headBytes, peek, tailBytes } from '../transports/peek.ts'
import { longMessage } from './long-line.ts'

/** Up to here parsing costs less than it is worth to avoid, bytes. */
const parsedBytes = 16 * 1024

/** How a long line begins that is a call, which no daemon is told again. Begun in another way it costs a look at the whole of it. */
const call = /^\{\s*(?:"(?:jsonrpc|id)"\s*:\s*(?:"(?:[^"\\]|\\.)*"|-?\d+)\s*,\s*)*"method"\s*:\s*"tools\/call"/

/**
 * The messages of a line; empty = none that could be read. Of a long answer, a long call and a long request of a daemon only the
 * envelope: no parameters, `method` unnamed.
 */
export function envelopes(line: Buffer, author: 'client' | 'daemon'): readonly Message[] {
  if (line.length > parsedBytes && line[0] === 0x7b) {
    const end = line.length - (line.at(-1) === 0x0a ? 1 : 0)
    const head = line.subarray(0, headBytes)
    const { id, part } = peek(head, line.subarray(Math.max(0, end - tailBytes), end))
    const isEnough = part === 'answer' || (part === 'request' && (author === 'daemon' || call.test(head.toString('latin1'))))
    if (id !== undefined && isEnough) return [{ jsonrpc: '2.0', id, ...(part === 'request' && { method: '' }) }]
    const message = author === 'client' ? longMessage(line) : undefined
    if (message) return [message].filter(isMessage)
  }
  try {
    // Some begin their first line with a mark of the byte order, and a daemon takes it.
    const value: unknown = JSON.parse(line.toString('utf8').replace(/^\ufeff/, ''))
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
