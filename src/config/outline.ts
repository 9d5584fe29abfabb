/**
 * The outline of a config file: which part of it is the servers, which the settings, whatever the containers are called.
 * Also finds the way back from our key paths to the file's. Knows no value.
 */
import { fault, pathText, warning, type Finding, type Path } from './problems.ts'
import { aliasKey, aliasPattern } from './schema.ts'
import { isRaw, spellBackend, type Raw } from './spellings.ts'

export interface Outline {
  /** Settings in our own keys, `defaults` included; the file's own objects, not copies. */
  readonly settings: Raw
  readonly backends: ReadonlyMap<string, Raw>
  /** The path in the file that gave this path of ours (`mcpServers.a.url` → `servers.a.serverUrl`). */
  origin(path: Path): Path
}

const containers: readonly Path[] = [
  ['mcpServers'],
  ['servers'],
  ['mcp', 'servers'],
  ['mcp'],
  ['mcp_servers'],
  ['context_servers'],
]

/** Top-level keys of clients' files that are no settings of ours and no mistake either. */
const foreign = new Set(['inputs', 'mcp', 'servers', 'mcp_servers', 'context_servers', 'mcpServers', '$schema'])

const maxServers = 1000

const ways = new Set(['command', 'cmd', 'url', 'serverUrl', 'httpUrl', 'uri', 'baseUrl', 'instances'])

const looksLikeServers = (value: Raw): boolean =>
  Object.values(value).every(entry => isRaw(entry) && Object.keys(entry).some(key => ways.has(key)))

export function outline(document: unknown, findings: Finding[]): Outline {
  const settings: Raw = {}
  const backends = new Map<string, Raw>()
  const homes = new Map<string, { at: Path; from: ReadonlyMap<string, Path> }>()
  const twins = new Map<string, string>()
  const home = (path: Path): Path => {
    const [top, alias, ...rest] = path
    const found = top === 'mcpServers' && typeof alias === 'string' ? homes.get(alias) : undefined
    if (!found) return path
    // The longest part that has another name in the file.
    for (let length = rest.length; length > 0; length--) {
      const origin = found.from.get(rest.slice(0, length).join('.'))
      if (origin) return [...found.at, ...origin, ...shift(origin, rest.slice(length))]
    }
    return [...found.at, ...rest]
  }
  const result = { settings, backends, origin: home }

  if (!isRaw(document)) {
    const empty = document === null || document === undefined
    findings.push(
      fault(empty ? 'SYNTAX' : 'WRONG_TYPE', [], empty ? 'the file is empty' : 'expected an object at the top', {
        hint: 'begin with {"mcpServers": {}}',
      }),
    )
    return result
  }
  for (const [key, value] of Object.entries(document)) if (!foreign.has(key) && !key.startsWith('x-')) settings[key] = value

  let seen = false
  for (const at of containers) {
    const around = at.length === 2 ? document[at[0] as string] : document
    if (!isRaw(around) || !Object.hasOwn(around, at.at(-1) as string)) continue
    const container = around[at.at(-1) as string]
    // A group of other things in some clients' files.
    if (
      at[0] === 'mcp' &&
      at.length === 1 &&
      (!isRaw(container) || Object.hasOwn(container, 'servers') || !looksLikeServers(container))
    )
      continue
    seen = true
    if (!isRaw(container)) findings.push(fault('WRONG_TYPE', at, `${pathText(at)}: expected an object of servers by alias`))
    else if (Object.keys(container).length > maxServers)
      findings.push(fault('TOO_LARGE', at, `${pathText(at)}: more than ${maxServers} servers`))
    else for (const [alias, entry] of Object.entries(container)) addBackend([...at, alias], alias, entry)
  }
  if (!seen) findings.push(fault('NO_SERVERS', [], 'there are no servers in this file', { hint: 'put them under "mcpServers"' }))
  else if (backends.size === 0 && findings.length === 0) findings.push(warning('NO_SERVERS', [], 'no servers are configured'))
  return result

  function addBackend(at: Path, alias: string, entry: unknown): void {
    const trouble = (code: 'BAD_ALIAS' | 'DUPLICATE_KEY' | 'WRONG_TYPE', message: string, hint?: string) =>
      findings.push(fault(code, at, message, { on: code === 'WRONG_TYPE' ? 'value' : 'key', hint }))
    if (!aliasPattern.test(alias))
      trouble(
        'BAD_ALIAS',
        `the alias ${JSON.stringify(alias.slice(0, 80))} is not allowed`,
        'use up to 32 of A-Z a-z 0-9 . _ - and begin with a letter or digit',
      )
    const twin = twins.get(aliasKey(alias))
    twins.set(aliasKey(alias), alias)
    if (twin === alias)
      return void trouble('DUPLICATE_KEY', `${alias} is also in ${pathText(homes.get(alias)?.at ?? [])}`, 'keep one of them')
    const how = twin?.toLowerCase() === alias.toLowerCase() ? 'differ only by case' : 'are one in names of tools, where a . is a _'
    if (twin !== undefined) trouble('BAD_ALIAS', `the aliases ${twin} and ${alias} ${how}`, 'rename one of them')
    if (!isRaw(entry)) return void trouble('WRONG_TYPE', `${pathText(at)}: expected an object with "command" or "url"`)
    const { raw, from } = spellBackend(entry, at, findings)
    homes.set(alias, { at, from })
    backends.set(alias, raw)
  }
}

/** `command: [npx, -y, pkg]`: our args begin at the list's second item. */
const shift = (origin: Path, [first, ...rest]: Path): Path =>
  origin.length === 1 && origin[0] === 'command' && typeof first === 'number'
    ? [first + 1, ...rest]
    : first === undefined
      ? []
      : [first, ...rest]
