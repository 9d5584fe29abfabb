/**
 * What other clients call things: their keys become ours, so that a block pasted from any of them works. Knows one
 * backend's raw object at a time; says nothing about whether the result is right.
 */
import { fault, warning, type Finding, type Path } from './problems.ts'

export type Raw = { [key: string]: unknown }

export const isRaw = (value: unknown): value is Raw => typeof value === 'object' && value !== null && !Array.isArray(value)

export interface RawBackend {
  /** In our own keys. */
  readonly raw: Raw
  /** Our path below the backend (`tools.exclude`) → the key that gave it, where that is another. */
  readonly from: ReadonlyMap<string, Path>
}

const renamed: Readonly<Record<string, string>> = {
  serverUrl: 'url',
  httpUrl: 'url',
  uri: 'url',
  baseUrl: 'url',
  http_headers: 'headers',
  environment: 'env',
  envs: 'env',
  cmd: 'command',
  transport: 'type',
  transportType: 'type',
  env_file: 'envFile',
}

const types: Readonly<Record<string, string | undefined>> = {
  http: 'http',
  https: 'http',
  'streamable-http': 'http',
  streamablehttp: 'http',
  streamable_http: 'http',
  sse: 'sse',
  stdio: 'stdio',
  local: 'stdio',
  remote: undefined,
}

/** Keys of clients that mean nothing to us and are no mistake. */
const silent = new Set([
  'alwaysLoad',
  'alwaysAllow',
  'autoApprove',
  'authProviderType',
  'auth',
  'bundled',
  'category',
  'comment',
  'default_tools_approval_mode',
  'description',
  'dev',
  'displayName',
  'extensions',
  'gallery',
  'icon',
  'icons',
  'id',
  'installed',
  'longRunning',
  'metadata',
  'name',
  'note',
  'notes',
  'oauth',
  'oauth_resource',
  'package',
  'presentation',
  'provider',
  'registryUrl',
  'remote',
  'required',
  'sandbox',
  'sandboxEnabled',
  'scope',
  'scopes',
  'settings',
  'source',
  'supports_parallel_tool_calls',
  'tags',
  'targetAudience',
  'targetServiceAccount',
  'title',
  'toolPermissions',
  'trust',
  'version',
  '_comment',
  '$comment',
  '//',
])

/** Lists of tools that clients hide or show by their exact names. */
const toolLists: Readonly<Record<string, 'exclude' | 'include'>> = {
  disabledTools: 'exclude',
  disabled_tools: 'exclude',
  excludeTools: 'exclude',
  enabledTools: 'include',
  enabled_tools: 'include',
  includeTools: 'include',
}

const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(item => typeof item === 'string')

const isWithin = (some: unknown, all: unknown): boolean => isTexts(some) && isTexts(all) && some.every(text => all.includes(text))

export function spellBackend(source: Raw, at: Path, findings: Finding[]): RawBackend {
  const raw: Raw = {}
  const from = new Map<string, Path>()
  const complain = (key: string, code: 'CONFLICT' | 'BAD_VALUE', message: string, hint?: string) =>
    findings.push(fault(code, [...at, key], message, { on: 'key', hint, backend: String(at.at(-1)) }))

  const put = (path: readonly [string, string?], value: unknown, origin: Path): void => {
    const [key, inner] = path
    const name = path.join('.')
    if (inner === undefined) {
      if (Object.hasOwn(raw, key))
        return void complain(
          String(origin[0]),
          'CONFLICT',
          `${from.get(key)?.[0] ?? key} and ${origin[0]} say the same thing`,
          'keep one of them',
        )
      raw[key] = value
    } else {
      // Our own spelling of a nested key stands; a client's fills what is missing.
      const group = (Object.hasOwn(raw, key) ? raw[key] : (raw[key] = {})) as unknown
      if (!isRaw(group)) return
      if (Object.hasOwn(group, inner)) {
        if (key !== 'tools') return
        // What one of two lists hides must not show because the other one stands; many clients write an empty one.
        const standing = group[inner]
        const isMore = isWithin(standing, value)
        if (inner === 'include' ? !isMore || !isWithin(value, standing) : !isMore && !isWithin(value, standing))
          return void complain(String(origin[0]), 'CONFLICT', `${from.get(name)?.[0] ?? name} and ${origin[0]} say the same thing`, 'keep one of them')
        if (inner === 'include' || !isMore) return
      }
      group[inner] = value
    }
    if (name !== origin.join('.')) from.set(name, origin)
  }

  // First everything in our own words, so that a client's words never win over them.
  for (const [key, value] of Object.entries(source)) if (!isForeign(key, value)) raw[key] = isRaw(value) ? { ...value } : value

  // Whole groups before single members of them.
  const foreign = Object.entries(source).filter(([key, value]) => isForeign(key, value))
  foreign.sort(([a], [b]) => Number(Object.hasOwn(renamed, b)) - Number(Object.hasOwn(renamed, a)))
  for (const [key, value] of foreign) {
    const list = Object.hasOwn(toolLists, key) ? toolLists[key] : undefined
    if (list) put(['tools', list], value, [key])
    else if (key === 'command') spellCommand(value, put)
    else if (renamed[key] === 'type' || key === 'type') spellType(key, value, put, complain)
    else if (renamed[key]) {
      put([renamed[key]], value, [key])
      // Gemini's word for Streamable HTTP.
      if (key === 'httpUrl' && !('type' in source)) put(['type'], 'http', [key])
    } else if (key === 'disabled' || key === 'isActive') spellEnabled(key, value, raw, put, complain)
    else spellRest(key, value, put)
  }
  if (Object.hasOwn(source, 'headersHelper'))
    findings.push(
      warning('UNKNOWN_KEY', [...at, 'headersHelper'], 'headersHelper is not supported: the command will not run', {
        on: 'key',
        hint: 'use headers with ${cred:NAME}',
      }),
    )
  return { raw, from }
}

type Put = (path: readonly [string, string?], value: unknown, origin: Path) => void
type Complain = (key: string, code: 'CONFLICT' | 'BAD_VALUE', message: string, hint?: string) => void

const others = new Set([
  'disabled',
  'isActive',
  'timeout',
  'startup_timeout_sec',
  'startup_timeout_ms',
  'tool_timeout_sec',
  'env_vars',
  'bearer_token_env_var',
  'env_http_headers',
  'headersHelper',
])

const isForeign = (key: string, value: unknown): boolean =>
  Object.hasOwn(renamed, key) ||
  Object.hasOwn(toolLists, key) ||
  others.has(key) ||
  silent.has(key) ||
  key === 'type' ||
  (key === 'command' && typeof value === 'object' && value !== null)

/** `["npx", "-y", "pkg"]` (OpenCode) and `{path, args, env}` (older Zed). */
function spellCommand(value: unknown, put: Put): void {
  if (Array.isArray(value)) {
    put(['command'], value[0], ['command', 0])
    if (value.length > 1) put(['args'], value.slice(1), ['command'])
    return
  }
  const { path, args, env } = value as Raw
  put(['command'], path, ['command', 'path'])
  if (args !== undefined) put(['args'], args, ['command', 'args'])
  if (env !== undefined && env !== null) put(['env'], env, ['command', 'env'])
}

function spellType(key: string, value: unknown, put: Put, complain: Complain): void {
  const word = typeof value === 'string' ? value.toLowerCase() : value
  if (word === 'ws' || word === 'websocket')
    return complain(key, 'BAD_VALUE', 'WebSocket servers are not supported', 'use the http or sse address of this server')
  const known = typeof word === 'string' && Object.hasOwn(types, word)
  const type = known ? types[word] : value
  if (type !== undefined) put(['type'], type, [key])
}

function spellEnabled(key: string, value: unknown, raw: Raw, put: Put, complain: Complain): void {
  const enabled =
    key === 'disabled'
      ? typeof value === 'boolean'
        ? !value
        : value === 'true'
          ? false
          : value === 'false'
            ? true
            : value
      : value
  if (!Object.hasOwn(raw, 'enabled')) return put(['enabled'], enabled, [key])
  if (raw['enabled'] !== enabled) complain(key, 'CONFLICT', `enabled and ${key} contradict each other`, 'keep enabled')
}

function spellRest(key: string, value: unknown, put: Put): void {
  const seconds = typeof value === 'number' ? value * 1000 : value
  // Claude Code and Gemini count milliseconds, Zed and Cline seconds; nobody means 999 ms or 17 minutes.
  if (key === 'timeout') put(['timeouts', 'call'], typeof value === 'number' && value < 1000 ? seconds : value, [key])
  else if (key === 'startup_timeout_sec') put(['timeouts', 'start'], seconds, [key])
  else if (key === 'startup_timeout_ms') put(['timeouts', 'start'], value, [key])
  else if (key === 'tool_timeout_sec') put(['timeouts', 'call'], seconds, [key])
  else if (key === 'env_vars' && isTexts(value)) for (const name of value) put(['env', name], `\${${name}:-}`, [key])
  else if (key === 'bearer_token_env_var' && typeof value === 'string')
    put(['headers', 'Authorization'], `Bearer \${${value}}`, [key])
  else if (key === 'env_http_headers' && isRaw(value))
    for (const [name, variable] of Object.entries(value)) put(['headers', name], `\${${String(variable)}}`, [key])
}
