/** Capability objects of this era: what we declare to clients for the servers behind us. Pure. */
import type { JsonObject } from '../../gateway/contract.ts'
import { isObject } from '../asks.ts'
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
