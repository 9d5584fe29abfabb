/**
 * Many servers of many clients into one list of aliases: the same server once, two of one name apart, every secret under a
 * name of its own. Pure; what is configured already is handed in.
 */
import { createHash } from 'node:crypto'
import { aliasKey, aliasPattern } from '../config/schema.ts'
import { isRaw, type Raw } from '../config/spellings.ts'
import { secretMark, type Converted } from './convert.ts'
import { credentialWord } from './notation.ts'

export interface Addition {
  readonly alias: string
  /** As it will stand in the config. */
  readonly server: Raw
  readonly from: Converted
  /** Why it is not called as it was; undefined = it is. */
  readonly renamed: string | undefined
}

export interface Duplicate {
  readonly from: Converted
  /** The alias under which it is there. */
  readonly alias: string
}

export interface Merged {
  readonly additions: readonly Addition[]
  readonly duplicates: readonly Duplicate[]
  /** Credentials to store, by name. */
  readonly credentials: ReadonlyMap<string, string>
}

export interface Present {
  /** Servers of the config, in our own keys. */
  readonly servers: ReadonlyMap<string, Raw>
  /** Stands between alias and name. */
  readonly separator: string
  credential(name: string): string | undefined
  readonly credentialNames: readonly string[]
}

export function merge(found: readonly Converted[], present: Present): Merged {
  const aliases = new Map([...present.servers.keys()].map(alias => [aliasKey(alias), alias]))
  const known = new Map([...present.servers].map(([alias, server]) => [identity(server, present.credential), alias]))
  const additions: Addition[] = []
  const duplicates: Duplicate[] = []
  const credentials = new Map<string, string>()
  const taken = new Set(present.credentialNames)

  for (const one of found) {
    const same = known.get(identity(one.server, number => one.secrets[Number(number.slice(secretMark.length))]?.value))
    if (same !== undefined) {
      // Switched off in one client and used in another: it is used.
      const at = additions.findIndex(({ alias, server }) => alias === same && server['enabled'] === false)
      const first = additions[at]
      if (first && one.server['enabled'] !== false) {
        const { enabled: _, ...server } = first.server
        additions[at] = { ...first, server }
      }
      duplicates.push({ from: one, alias: same })
      continue
    }
    const plain = aliasOf(one.name, present.separator)
    let alias = plain
    for (let number = 2; aliases.has(aliasKey(alias)); number++)
      alias = `${plain.slice(0, 32 - String(number).length - 1)}-${number}`
    const names = one.secrets.map(({ word, value }) => nameOf(`${alias}_${word}`, value))
    const server = named(one.server, names) as Raw
    const renamed =
      alias === one.name ? undefined : alias === plain ? `${JSON.stringify(one.name)} is no alias` : `there is another ${plain}`
    additions.push({ alias, server, from: one, renamed })
    aliases.set(aliasKey(alias), alias)
    known.set(
      identity(server, name => credentials.get(name) ?? present.credential(name)),
      alias,
    )
  }
  return { additions, duplicates, credentials }

  /** The name under which this very value is stored, else a new one. */
  function nameOf(wanted: string, value: string): string {
    const plain = credentialWord(wanted)
    for (let number = 1; ; number++) {
      const name = number === 1 ? plain : `${plain.slice(0, 60)}_${number}`
      const stored = credentials.get(name) ?? (taken.has(name) ? present.credential(name) : undefined)
      if (stored === value) return name
      if (stored !== undefined || taken.has(name)) continue
      credentials.set(name, value)
      return name
    }
  }
}

/** The nearest alias to what a client calls its server. */
export function aliasOf(name: string, separator: string): string {
  let alias = name
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
  while (separator !== '' && alias.includes(separator)) alias = alias.replaceAll(separator, separator.slice(0, -1) || '.')
  alias = alias
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 32)
    .replace(/[-._]+$/, '')
  return aliasPattern.test(alias) ? alias : 'server'
}

const reference = new RegExp(`\\$\\{cred:(${secretMark}\\d+|[A-Za-z0-9_.-]{1,64})\\}`, 'g')

/** The server as a text that is the same for the same server, whatever its secrets are called. */
function identity(server: Raw, credential: (name: string) => string | undefined): string {
  const text = (value: string): string =>
    value.replace(reference, (whole, name: string) => {
      const secret = credential(name)
      return secret === undefined ? whole : `\${cred:${createHash('sha256').update(secret).digest('hex')}}`
    })
  const sorted = (node: unknown): unknown => {
    if (typeof node === 'string') return text(node)
    if (Array.isArray(node)) return node.map(sorted)
    if (!isRaw(node)) return node
    return Object.fromEntries(
      Object.entries(node)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, value]) => [key, sorted(value)]),
    )
  }
  // How it is treated is not what it is; and without a word, HTTP is what a client tries first.
  const { enabled: _, timeouts: __, tools: ___, type, ...way } = server
  return JSON.stringify(sorted(type === 'sse' ? { ...way, type } : way))
}

function named(node: unknown, names: readonly string[]): unknown {
  if (typeof node === 'string')
    return node.replace(reference, (whole, name: string) =>
      name.startsWith(secretMark) ? `\${cred:${names[Number(name.slice(secretMark.length))]}}` : whole,
    )
  if (Array.isArray(node)) return node.map(item => named(item, names))
  return isRaw(node) ? Object.fromEntries(Object.entries(node).map(([key, value]) => [key, named(value, names)])) : node
}
