/**
 * What calls of one backend were seen to fail for: an ask was refused because the client lacks the ability, and the call
 * failed. Shared by the backend's connections, so that one whose server was told beforehand, and never asks, can say it too.
 */
import type { Call, JsonObject } from '../gateway/contract.ts'
import { joined } from './asks.ts'

const limit = 256

export class Shortfalls {
  private readonly known = new Map<string, JsonObject>()

  /** As `ClientCapabilities`; undefined = nothing is known. */
  of(call: Call): JsonObject | undefined {
    return this.known.size === 0 ? undefined : this.known.get(keyOf(call))
  }

  add(call: Call, lacking: JsonObject): void {
    const key = keyOf(call)
    const before = this.known.get(key)
    this.known.delete(key)
    this.known.set(key, before ? joined(before, lacking) : lacking)
    if (this.known.size > limit) this.known.delete(this.known.keys().next().value as string)
  }

  /** It went without after all. */
  forget(call: Call): void {
    this.known.delete(keyOf(call))
  }
}

const keyOf = ({ method, params }: Call): string => `${method} ${String(params['name'] ?? params['uri'])}`
