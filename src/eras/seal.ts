/**
 * Seals the state of an unfinished call while it is in a client's hands: encrypted, authenticated, bound to who may
 * bring it back, with which request, until when (2026-07-28 basic/patterns/mrtr, "Server Requirements").
 * Knows nothing of what the state means. Single use is the matter of whoever waits for it.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import type { JsonObject } from '../gateway/contract.ts'
import { McpError } from '../gateway/errors.ts'
import { isObject } from './asks.ts'

/** What comes back out. */
export interface SealedState {
  /** Name of the backend that asked. */
  readonly from: string | undefined
  /** That backend's own state, to the byte; undefined = it gave none and must be given none. */
  readonly inner: string | undefined
}

/** The request a state belongs to; a retry must equal it in all of these. */
export interface SealBinding {
  readonly principal: string
  readonly method: string
  readonly params: JsonObject
}

const format = 1
const ivBytes = 12
const tagBytes = 16
/** Longest sealed text, characters; the same bound holds for what clients may bring. */
export const maxSealedLength = 64 * 1024

/** `expiresAt`: milliseconds of the clock that `unseal` goes by. Throws BACKEND_PROTOCOL when the inner state is too large to carry. */
export function seal(key: Buffer, state: SealedState, binding: SealBinding, expiresAt: number): string {
  const iv = randomBytes(ivBytes)
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  cipher.setAAD(boundTo(binding))
  const plain = JSON.stringify({ from: state.from, inner: state.inner, until: expiresAt })
  const body = Buffer.concat([Buffer.of(format), iv, cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()])
  const text = body.toString('base64url')
  if (text.length > maxSealedLength)
    throw new McpError('BACKEND_PROTOCOL', 'the server gave a request state too large to carry', { backend: state.from })
  return text
}

/** Throws STATE_INVALID, without saying why, for whatever `seal` did not make for this very request and principal. */
export function unseal(key: Buffer, text: string, binding: SealBinding, now: number): SealedState {
  const plain = decrypted(key, text, binding)
  if (plain === undefined || typeof plain['until'] !== 'number' || now >= plain['until'])
    throw new McpError('STATE_INVALID', 'this request state is unknown, expired or belongs to another request')
  return { from: plain['from'] as string | undefined, inner: plain['inner'] as string | undefined }
}

function decrypted(key: Buffer, text: string, binding: SealBinding): JsonObject | undefined {
  if (text.length > maxSealedLength) return undefined
  const body = Buffer.from(text, 'base64url')
  // Decoding forgives stray characters; a state has exactly one spelling.
  if (body.length < 1 + ivBytes + tagBytes || body[0] !== format || body.toString('base64url') !== text) return undefined
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, body.subarray(1, 1 + ivBytes), { authTagLength: tagBytes })
    decipher.setAAD(boundTo(binding))
    decipher.setAuthTag(body.subarray(-tagBytes))
    const plain = decipher.update(body.subarray(1 + ivBytes, -tagBytes), undefined, 'utf8') + decipher.final('utf8')
    const value: unknown = JSON.parse(plain)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** The salient parameters alone: `_meta` and the answers differ between a request and its retry. */
function boundTo({ principal, method, params }: SealBinding): Buffer {
  const salient = [principal, method, params['name'], params['uri'], params['arguments']]
  return createHash('sha256').update(`request-state ${format} ${canonical(salient)}`).digest()
}

/** JSON with sorted keys: equal values have equal texts, whatever order a client wrote them in. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (!isObject(value)) return JSON.stringify(value) ?? 'undefined'
  const parts = Object.keys(value).sort().map(key => `${JSON.stringify(key)}:${canonical(value[key])}`)
  return `{${parts.join(',')}}`
}
