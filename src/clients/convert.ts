/**
 * One server from a client's notation to ours: variables, key names, paths; secrets written out become references, their
 * values handed over beside it. Starts nothing and stores nothing.
 */
import { posix, win32 } from 'node:path'
import { checkKeys } from '../config/examine.ts'
import type { Finding, Path } from '../config/problems.ts'
import { backendSchema } from '../config/schema-backend.ts'
import { all, isPlainValue, isTokenShaped, looksSecret, schemed, secretArgument, secretInUrl, type SecretPart } from '../config/secrets.ts'
import { isRaw, spellBackend, type Raw } from '../config/spellings.ts'
import type { Client, NotationContext, Place, Surroundings } from './client.ts'
import { credentialWord } from './notation.ts'

export interface Found {
  readonly client: Client
  readonly place: Place
  readonly name: string
  readonly entry: Raw
}

export interface Converted extends Found {
  /** In our own keys; a secret stands as `${cred:` and `secretMark` and its number `}`. */
  readonly server: Raw
  /** The n-th is number n: what to call it, and the value. */
  readonly secrets: readonly { readonly word: string; readonly value: string }[]
  /** Values the client asked its user for, by the name they have now. */
  readonly inputs: readonly string[]
  /** What to know about it. */
  readonly notes: readonly string[]
}

export interface Refused extends Found {
  readonly reason: string
}

/** No credential can be called so: NUL is in no name. */
export const secretMark = '\0'

export const isRefused = (one: Converted | Refused): one is Refused => 'reason' in one

export function convert(found: Found, surroundings: Surroundings): Converted | Refused | undefined {
  const { client, place, name } = found
  const tidy = client.tidy ? client.tidy(found.entry) : found.entry
  if (!tidy) return undefined
  const context: NotationContext = { surroundings, folder: place.folder }
  const lifting: Lifting = { secrets: [], inputs: new Set(), troubles: [] }
  const texts = walk(
    tidy,
    [],
    text => text,
    (text, path) => lift(text, path, tidy, client, context, lifting),
  ) as Raw
  const [trouble] = lifting.troubles
  if (trouble !== undefined) return { ...found, reason: trouble }

  const findings: Finding[] = []
  const { raw } = spellBackend(texts, ['mcpServers', name], findings)
  const before = Object.keys(raw)
  const server = checkKeys(backendSchema, raw, ['mcpServers', name], [], name) as Raw
  const fault = findings.find(({ severity }) => severity === 'error')
  if (fault) return { ...found, reason: fault.message }
  if (!('command' in server) && !('url' in server)) return { ...found, reason: 'it has neither a command nor an address' }
  if ('command' in server && 'url' in server) return { ...found, reason: 'it has both a command and an address' }
  const dropped = before.filter(key => !(key in server))
  const notes = [
    ...findings.filter(({ severity }) => severity === 'warning').map(({ message }) => message),
    ...(dropped.length > 0 ? [`${dropped.join(', ')} mean${dropped.length === 1 ? 's' : ''} nothing to us and is left out`] : []),
    ...(isRaw(tidy['oauth']) || isRaw(tidy['auth']) ? ['its sign-in is not taken over'] : []),
  ]
  return {
    ...found,
    server: placed(simple(server), place, surroundings),
    secrets: lifting.secrets,
    inputs: [...lifting.inputs],
    notes,
  }
}

interface Lifting {
  readonly secrets: { word: string; value: string }[]
  readonly inputs: Set<string>
  readonly troubles: string[]
}

function walk(node: unknown, path: Path, key: (text: string) => string, text: (value: string, path: Path) => string): unknown {
  if (typeof node === 'string') return text(node, path)
  if (typeof node === 'bigint') return Number(node)
  if (Array.isArray(node)) return node.map((item, index) => walk(item, [...path, index], key, text))
  if (!isRaw(node) || node instanceof Date) return node
  return Object.fromEntries(Object.entries(node).map(([name, value]) => [key(name), walk(value, [...path, name], key, text)]))
}

/** Where clients keep what a server is started or called with; elsewhere are names and lists of tools. */
const spoken = new Set([
  'command',
  'cmd',
  'args',
  'env',
  'environment',
  'envs',
  'headers',
  'http_headers',
  'url',
  'serverUrl',
  'httpUrl',
  'uri',
  'baseUrl',
  'cwd',
  'envFile',
])

function lift(text: string, path: Path, entry: Raw, client: Client, context: NotationContext, lifting: Lifting): string {
  if (!spoken.has(String(path[0]))) return text
  const { text: ours, refers, inputs, trouble } = client.notation(text, context)
  if (trouble !== undefined) lifting.troubles.push(trouble)
  for (const input of inputs) lifting.inputs.add(credentialWord(input))
  if (refers) return ours
  const secret = secretIn(text, path, entry)
  if (!secret) return ours
  const { before, value, after, word } = secret
  const number = lifting.secrets.push({ word, value }) - 1
  const literal = (part: string): string => client.notation(part, context).text
  return `${literal(before)}\${cred:${secretMark}${number}}${literal(after)}`
}

/** The secret in a text, by its key, its flag or its shape. */
function secretIn(text: string, path: Path, entry: Raw): SecretPart | undefined {
  const [group, key] = path as [string, (string | number)?]
  const isMap = typeof key === 'string' && group !== 'args'
  if (isMap && (isTokenShaped(text) || (looksSecret(key) && !isPlainValue(text)))) {
    // The scheme of an Authorization header is no secret, and reads better outside.
    const [, scheme, value] = schemed.exec(text) ?? []
    return scheme === undefined ? all(text, key) : { before: scheme, value: value as string, after: '', word: key }
  }
  if (group === 'args' || (group === 'command' && typeof key === 'number'))
    return secretArgument(text, key as number, entry[group])
  if (!isMap && /^(url|serverUrl|httpUrl|uri|baseUrl)$/.test(group)) return secretInUrl(text)
  return isTokenShaped(text) ? all(text, group) : undefined
}

/** Without what says nothing. */
function simple(server: Raw): Raw {
  const { type, enabled, ...rest } = server
  const kept = Object.entries(rest).filter(
    ([, value]) =>
      value !== null &&
      value !== '' &&
      !(Array.isArray(value) && value.length === 0) &&
      !(isRaw(value) && Object.keys(value).length === 0),
  )
  return {
    ...Object.fromEntries(kept),
    ...('url' in rest && type !== undefined ? { type } : {}),
    ...(enabled === false || enabled === 'false' ? { enabled: false } : {}),
  }
}

/** A project's server starts in its project, and its relative paths begin there; from our config they would begin elsewhere. */
function placed(server: Raw, { folder }: Place, { platform, home }: Surroundings): Raw {
  const { join, isAbsolute } = platform === 'win32' ? win32 : posix
  const base = folder ?? home
  const absolute = (path: unknown): unknown =>
    typeof path !== 'string' || path === '' || isAbsolute(path) || path.startsWith('~') || path.startsWith('${')
      ? path
      : join(base, path)
  const { command, cwd, envFile } = server
  const isPath = typeof command === 'string' && /[/\\]/.test(command)
  return {
    ...server,
    ...(isPath ? { command: absolute(command) } : {}),
    ...(cwd !== undefined ? { cwd: absolute(cwd) } : folder !== undefined && 'command' in server ? { cwd: folder } : {}),
    ...(envFile !== undefined ? { envFile: Array.isArray(envFile) ? envFile.map(absolute) : absolute(envFile) } : {}),
  }
}
