/** Merged lists as outcomes: written as JSON once per list, however many clients ask for it. */
import type { Catalog } from './catalog.ts'
import type { Complete, JsonObject } from './contract.ts'
import { RawComplete, RawJson } from './raw.ts'

const written = new WeakMap<readonly JsonObject[], RawJson>()

/** `field`: what the items are called in the result. */
export function listed(catalog: Catalog, list: 'tools' | 'prompts' | 'resources' | 'templates', field: string): Complete {
  const items = catalog[list]
  let raw = written.get(items)
  if (!raw) written.set(items, (raw = RawJson.of({ [field]: items })))
  return new RawComplete(raw, catalog.freshness)
}
