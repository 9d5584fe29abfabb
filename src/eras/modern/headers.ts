/**
 * The header fields that mirror a request to an HTTP server (2026-07-28 basic/transports/streamable-http, "Request
 * Metadata"), and the memory of which tool parameters are mirrored. Regenerated for each hop, never copied.
 */
import type { JsonObject } from '../../gateway/contract.ts'
import type { Log } from '../../gateway/log.ts'
import { readAnnotations, type Annotation } from '../annotations.ts'
import { isObject } from '../asks.ts'
import { nameSources } from './wire.ts'

const maxKnown = 256
const maxKnownName = 256
const plain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/
const looksEncoded = /^=\?base64\?.*\?=$/

/** A field value that reads back as `text`: itself where that is safe, else base64 between the sentinels. */
export function encodeHeader(text: string): string {
  if (plain.test(text) && !looksEncoded.test(text)) return text
  return `=?base64?${Buffer.from(text, 'utf8').toString('base64')}?=`
}

/** The text of a mirrored argument; undefined where none is sent: nothing there, or no primitive. */
function textOf(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return value
    case 'boolean':
      return String(value)
    case 'number':
      return Number.isSafeInteger(value) || !Number.isInteger(value) ? String(value) : undefined
    default:
      return undefined
  }
}

export class RequestHeaders {
  private readonly annotations = new Map<string, readonly Annotation[]>()
  /** Of requests that name something, where their fields depend on method and name alone. */
  private readonly known = new Map<string, Readonly<Record<string, string>>>()
  private readonly version: string
  private readonly log: Log

  constructor(version: string, log: Log) {
    this.version = version
    this.log = log
  }

  /** The fields of one message. Messages alike get the same object. */
  of(method: string, params: JsonObject | undefined): Readonly<Record<string, string>> {
    const source = Object.hasOwn(nameSources, method) ? nameSources[method] : undefined
    const named = source === undefined ? undefined : params?.[source]
    const name = typeof named === 'string' ? named : undefined
    const mirrored = method === 'tools/call' && name !== undefined ? this.annotations.get(name) : undefined
    // Only methods we know name something, so no other can look like one with its name.
    const plain = (name !== undefined && this.known.get(`${method} ${name}`)) || this.plain(method, name)
    return mirrored ? this.mirroring(mirrored, params, plain) : plain
  }

  private plain(method: string, name: string | undefined): Readonly<Record<string, string>> {
    const fields = { 'MCP-Protocol-Version': this.version, 'Mcp-Method': encodeHeader(method) }
    if (name === undefined) return fields
    const headers = { ...fields, 'Mcp-Name': encodeHeader(name) }
    if (name.length > maxKnownName) return headers
    if (this.known.size >= maxKnown) this.known.clear()
    this.known.set(`${method} ${name}`, headers)
    return headers
  }

  private mirroring(annotations: readonly Annotation[], params: JsonObject | undefined, plain: Readonly<Record<string, string>>): Record<string, string> {
    const headers = { ...plain }
    for (const { path, name: field } of annotations) {
      let value: unknown = params?.['arguments']
      for (const key of path) value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
      const text = textOf(value)
      if (text !== undefined) headers[`Mcp-Param-${field}`] = encodeHeader(text)
    }
    return headers
  }

  /** Remembers what each listed tool mirrors; returns the tools that may be offered: those that follow the rules. */
  learn(tools: readonly unknown[]): unknown[] {
    return tools.filter(tool => {
      const name = isObject(tool) ? tool['name'] : undefined
      if (!isObject(tool) || typeof name !== 'string') return true
      const { valid, faults } = readAnnotations(tool['inputSchema'])
      const [fault] = faults
      if (fault) {
        this.annotations.delete(name)
        this.log.warn({ tool: name, at: fault.at.join('.') }, `tool left out: x-mcp-header: ${fault.reason}`)
        return false
      }
      if (valid.length > 0) this.annotations.set(name, valid)
      else this.annotations.delete(name)
      return true
    })
  }
}
