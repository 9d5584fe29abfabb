/** Capability objects of this era: what we declare to clients for the servers behind us, and what an ask takes. Pure. */
import type { Ask, JsonObject } from '../../gateway/contract.ts'
import { elicitation, isObject, roots, sampling } from '../asks.ts'
import { listKinds } from './wire.ts'

/** Server capabilities as a client of this era is told: we announce every list, and tasks are an extension here. */
export function serverCapabilities(merged: JsonObject): JsonObject {
  const { tasks: _tasks, ...told } = merged
  for (const kind of listKinds) {
    const capability = told[kind]
    if (isObject(capability)) told[kind] = { ...capability, listChanged: true }
  }
  return told
}

/** The least a client must declare to be sent all these asks, as `ClientCapabilities`. */
export function requiredBy(asks: readonly Ask[]): JsonObject {
  const required: { [key: string]: JsonObject } = {}
  for (const { method, params } of asks) {
    if (method === roots) required['roots'] ??= {}
    if (method === sampling) {
      const withTools = params?.['tools'] !== undefined || params?.['toolChoice'] !== undefined
      required['sampling'] = { ...required['sampling'], ...(withTools ? { tools: {} } : {}) }
    }
    if (method === elicitation)
      required['elicitation'] = { ...required['elicitation'], [params?.['mode'] === 'url' ? 'url' : 'form']: {} }
  }
  return required
}
