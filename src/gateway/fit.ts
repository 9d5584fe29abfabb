/**
 * The merged list of tools as one client can take it: only what offends is shortened, rewritten or held back, and each
 * such change is written down. A pure function of the list and the limits, so a list costs it once.
 */
import type { JsonObject } from './contract.ts'
import { isObject } from './json.ts'
import { toolName } from './names.ts'
import { isPlain, plainSchema } from './plain-schema.ts'
import type { Fitting } from './profiles.ts'

export interface FitChange {
  /** The public name. */
  readonly name: string
  readonly kind: 'renamed' | 'shortened' | 'rewritten' | 'held'
  /** The name the client sees, where it is another one. */
  readonly shown?: string | undefined
  /** Whose tool it is, where that is known. */
  readonly backend?: string | undefined
  /** For people: what was done and by which limit. */
  readonly why: string
}

export interface Fitted {
  /** The very list that came in where nothing had to change. */
  readonly tools: readonly JsonObject[]
  /** Names only this client sees → public names. */
  readonly names: ReadonlyMap<string, string>
  readonly changes: readonly FitChange[]
}

/** `ownerOf`: the alias of a public name's backend. */
export function fit(tools: readonly JsonObject[], limits: Fitting, ownerOf?: (name: string) => string | undefined): Fitted {
  const changes: FitChange[] = []
  const names = new Map<string, string>()
  const taken = new Set(tools.map(({ name }) => name))
  const room = limits.nameLength === undefined ? Infinity : Math.max(16, limits.nameLength - limits.prefixLength)
  const shown: JsonObject[] = []
  for (const tool of tools) {
    const name = String(tool['name'])
    const backend = ownerOf?.(name)
    const held = (why: string): void => void changes.push({ name, kind: 'held', backend, why })
    let adapted = tool
    const said = (kind: FitChange['kind'], why: string, as?: string): void => void changes.push({ name, kind, backend, why, shown: as })
    if (limits.tools !== undefined && shown.length >= limits.tools) {
      held(`${limits.title} takes ${limits.tools} tools, and this one comes after them in the order of the config`)
      continue
    }
    if (limits.plainSchemas && !isPlain(tool['inputSchema'])) {
      const plain = isObject(tool['inputSchema']) ? plainSchema(tool['inputSchema']) : undefined
      if (!plain) {
        held(`${limits.title} reads schemas only without references, and this one is too large without them`)
        continue
      }
      adapted = { ...adapted, inputSchema: plain.schema }
      const loose = plain.loosened === 0 ? '' : `; ${plain.loosened} that lead back or elsewhere now take any value`
      said('rewritten', `${limits.title} reads schemas only without references: they were written out${loose}`)
    }
    const { description } = tool
    if (limits.description !== undefined && typeof description === 'string' && description.length > limits.description) {
      adapted = { ...adapted, description: cut(description, limits.description) }
      said('shortened', `${limits.title} reads ${limits.description} characters of a description, and this one has ${description.length}`)
    }
    if (name.length > room) {
      const short = toolName('', name, '', room)
      if (taken.has(short) || names.has(short)) {
        held(`${limits.title} takes names of ${room} characters, and ${short} is taken`)
        continue
      }
      names.set(short, name)
      adapted = { ...adapted, name: short }
      const own = limits.prefixLength > 0 ? `, ${limits.prefixLength} of which it uses itself` : ''
      said('renamed', `${limits.title} takes names of ${limits.nameLength} characters${own}`, short)
    }
    shown.push(adapted)
  }
  return { tools: changes.length === 0 ? tools : shown, names, changes }
}

/** At most `length` characters, at the end of a word where one is near. */
function cut(text: string, length: number): string {
  const head = text.slice(0, length - 2).replace(/[\ud800-\udbff]$/, '')
  const space = head.lastIndexOf(' ')
  return `${space > length * 0.9 ? head.slice(0, space) : head} …`
}
