/**
 * One backend from the file to its final form: references, defaults, schema, the rules between its keys, paths. What is
 * wrong with a value holds this backend back; what is wrong with its shape is everybody's error.
 */
import { pathToFileURL } from 'node:url'
import type { BackendConfig, Endpoint } from './config.ts'
import { readEnvFiles } from './env-file.ts'
import { checkKeys, issueFindings } from './examine.ts'
import { expandText, expandTree, hasReference, type Lookup, type TreeExpansion } from './expand.ts'
import { resolveCommand, resolvePath } from './paths.ts'
import { fault, pathText, warning, type Finding, type Path } from './problems.ts'
import { backendSchema, endpointKeys, type ParsedBackend, type ParsedInstance } from './schema-backend.ts'
import { secretsOf, type Written } from './secrets.ts'
import { isRaw, type Raw } from './spellings.ts'
import { readFlag } from './values.ts'

export interface BackendContext {
  readonly lookup: Lookup
  /** The `defaults` section, references resolved. */
  readonly defaults: Raw
  readonly findings: Finding[]
  readonly secrets: Set<string>
  /** Everything read besides the config itself. */
  readonly files: Set<string>
}

/** A backend whose problems have no positions yet. */
export interface BackendDraft {
  readonly config: Omit<BackendConfig, 'problems'>
  readonly marks: TreeExpansion['marks']
  /** Its own keys with references resolved, before defaults. */
  readonly resolved: Raw
}

export function buildBackend(alias: string, raw: Raw, context: BackendContext): BackendDraft | undefined {
  const { findings, lookup } = context
  const at: Path = ['mcpServers', alias]
  const known = checkKeys(backendSchema, raw, at, findings, alias) as Raw
  // `stdio` says nothing that `command` does not.
  if (known['type'] === 'stdio' && Object.hasOwn(known, 'command')) delete known['type']

  const enabled = isEnabled(known, context)
  const expansion = expandTree(known, enabled ? lookup : undefined)
  for (const { code, message, hint, at: below } of expansion.troubles)
    findings.push(
      fault(code, [...at, ...below], `${pathText([...at, ...below])}: ${message}`, { hint, backend: alias, holds: true }),
    )
  for (const secret of expansion.secrets) context.secrets.add(secret)
  for (const file of expansion.files) context.files.add(file)

  const before = findings.length
  checkWays(known, at, alias, findings)
  checkRenames(known, at, alias, findings)
  const merged = merge(context.defaults, expansion.value as Raw)
  const parsed = backendSchema.safeParse(merged)
  const issues = parsed.error?.issues ?? []
  for (const issue of issues) {
    const mark = expansion.marks.get(JSON.stringify(issue.path))
    // An unresolved text has been reported; what came from `defaults` is reported there.
    if (mark === 'unresolved' || !isWithin(known, issue.path as Path)) continue
    for (const found of issueFindings([issue], known, at, alias))
      findings.push(mark === undefined ? found : { ...found, holds: true })
  }
  if (findings.slice(before).some(({ severity, holds }) => severity === 'error' && !holds)) return undefined

  const held = findings.some(({ backend, severity }) => backend === alias && severity === 'error')
  // Held or disabled: the rest of its settings still tell what it would be.
  const settled =
    parsed.data ??
    backendSchema.safeParse(
      without(
        merged,
        issues.map(({ path }) => path as Path),
      ),
    ).data ??
    backendSchema.parse({})
  const endpoints = enabled && !held && parsed.data ? endpointsOf(parsed.data, at, alias, context) : []
  // `config show` shows also what is switched off or held back. There, a reference stands for itself.
  if (endpoints.length === 0) for (const each of [settled, ...(settled.instances ?? [])]) noteSecrets(literals(each), context.secrets)
  return {
    config: { ...behaviourOf(settled, lookup.base), alias, enabled, transport: transportOf(known), endpoints },
    marks: expansion.marks,
    resolved: expansion.value as Raw,
  }
}

function isEnabled(known: Raw, { defaults, lookup }: BackendContext): boolean {
  const given = known['enabled'] ?? defaults['enabled'] ?? true
  const reading = readFlag(typeof given === 'string' ? (expandText(given, lookup).value ?? given) : given)
  return 'value' in reading ? reading.value : true
}

/** Groups are merged key by key, everything else is replaced. */
function merge(defaults: Raw, own: Raw): Raw {
  const merged: Raw = { ...defaults, ...own }
  for (const [key, value] of Object.entries(defaults)) {
    const mine = own[key]
    if (isRaw(value) && isRaw(mine)) merged[key] = { ...value, ...mine }
  }
  return merged
}

function isWithin(value: unknown, path: Path): boolean {
  if (path.length === 0) return true
  const [first, ...rest] = path as [string | number, ...(string | number)[]]
  if (Array.isArray(value)) return isWithin(value[first as number], rest)
  // A missing last key is this backend's own fault as well, unless a default stands in.
  return isRaw(value) && Object.hasOwn(value, first) && isWithin(value[first], rest)
}

/** A copy without what stands at these paths. */
function without(value: unknown, paths: readonly Path[]): unknown {
  if (typeof value !== 'object' || value === null || paths.length === 0) return value
  const inner = (step: string | number) =>
    paths.filter(([first, ...rest]) => first === step && rest.length > 0).map(([, ...rest]) => rest)
  const kept = (step: string | number) => !paths.some(([first, ...rest]) => first === step && rest.length === 0)
  if (Array.isArray(value)) return value.flatMap((item, index) => (kept(index) ? [without(item, inner(index))] : []))
  return Object.fromEntries(Object.entries(value).flatMap(([key, item]) => (kept(key) ? [[key, without(item, inner(key))]] : [])))
}

/** Each server has exactly one way to it. */
function checkWays(known: Raw, at: Path, alias: string, findings: Finding[]): void {
  const complain = (code: 'CONFLICT' | 'MISSING_KEY', path: Path, message: string, hint?: string) =>
    findings.push(fault(code, path, `${pathText(path)}: ${message}`, { on: 'key', hint, backend: alias }))
  const check = (entry: unknown, path: Path): void => {
    if (!isRaw(entry)) return
    const [command, url] = [Object.hasOwn(entry, 'command'), Object.hasOwn(entry, 'url')]
    if (command && url)
      complain('CONFLICT', [...path, 'url'], 'a server has either "command" or "url", not both', 'remove one of them')
    else if (!command && !url) {
      // A misspelt key has been reported, and is the likelier mistake.
      const misspelt = findings.some(
        ({ code, severity, at }) =>
          code === 'UNKNOWN_KEY' && severity === 'error' && at.length === path.length + 1 && isBelow(at, path),
      )
      if (!misspelt) complain('MISSING_KEY', path, 'needs "command" or "url"')
    } else if (command && Object.hasOwn(entry, 'type'))
      complain('CONFLICT', [...path, 'type'], 'only a server with "url" has this type', 'remove it')
    for (const key of url && !command ? ['args', 'cwd', 'envFile'] : command && !url ? ['headers', 'caFile'] : [])
      if (Object.hasOwn(entry, key))
        findings.push(
          warning('CONFLICT', [...path, key], `${pathText([...path, key])} has no effect here`, { on: 'key', backend: alias }),
        )
  }
  if (!Object.hasOwn(known, 'instances')) return check(known, at)
  for (const key of endpointKeys)
    if (Object.hasOwn(known, key))
      complain('CONFLICT', [...at, key], 'goes into the entries of "instances" when there are any', 'move it')
  const instances = known['instances']
  if (Array.isArray(instances)) instances.forEach((entry, index) => check(entry, [...at, 'instances', index]))
}

/** Two that want one name are both withheld; that only one of them is offered cannot be ruled out. */
function checkRenames(known: Raw, at: Path, alias: string, findings: Finding[]): void {
  for (const kind of ['tools', 'prompts']) {
    const rename = isRaw(known[kind]) ? known[kind]['rename'] : undefined
    const holders = new Map<unknown, string>()
    for (const [own, name] of isRaw(rename) ? Object.entries(rename) : []) {
      const other = holders.get(name)
      holders.set(name, own)
      if (other === undefined) continue
      const path = [...at, kind, 'rename', own]
      const message = `${pathText(path)}: ${other} has this name already; where the server offers both, neither is shown`
      findings.push(warning('CONFLICT', path, message, { backend: alias }))
    }
  }
}

const isBelow = (at: Path, path: Path): boolean => path.every((step, index) => at[index] === step)

const transportOf = (known: Raw): BackendConfig['transport'] => {
  const instances: unknown = known['instances']
  const first: unknown = Array.isArray(instances) ? instances[0] : known
  if (!isRaw(first) || !Object.hasOwn(first, 'url')) return 'stdio'
  return first['type'] === 'sse' ? 'sse' : 'http'
}

function endpointsOf(parsed: ParsedBackend, at: Path, alias: string, context: BackendContext): Endpoint[] {
  const { instances } = parsed
  if (!instances) return [endpointOf({ ...parsed, backup: false }, at, alias, context)]
  const { env, headers, cwd, envFile, caFile } = parsed
  return instances.map((entry, index) => {
    const own = Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== undefined)) as ParsedInstance
    const shared = { cwd, envFile, caFile, ...own, env: { ...env, ...own.env }, headers: { ...headers, ...own.headers } }
    return endpointOf(shared, own.envFile ? [...at, 'instances', index] : at, alias, context)
  })
}

/** What an endpoint is made of: an instance, or a backend that is its own only one. */
interface EndpointSource {
  readonly command?: string | undefined
  readonly args?: string[] | undefined
  readonly url?: string | undefined
  readonly type?: 'http' | 'sse' | undefined
  readonly env?: Record<string, string> | undefined
  readonly envFile?: string[] | undefined
  readonly cwd?: string | undefined
  readonly headers?: Record<string, string> | undefined
  readonly caFile?: string | undefined
  readonly backup: boolean
}

function endpointOf(source: EndpointSource, at: Path, alias: string, context: BackendContext): Endpoint {
  const { base } = context.lookup
  const { command, args = [], url, type, headers = {}, caFile, cwd, backup } = source
  if (command === undefined) {
    noteSecrets({ headers, url }, context.secrets)
    return {
      kind: 'url',
      url: url ?? '',
      type,
      headers,
      caFile: caFile === undefined ? undefined : resolvePath(caFile, base),
      backup,
    }
  }
  const { values, missing, odd } = readEnvFiles(
    (source.envFile ?? []).map(path => resolvePath(path, base)),
    context.files,
  )
  for (const { file, reason } of missing)
    context.findings.push(
      fault('MISSING_FILE', [...at, 'envFile'], `${pathText([...at, 'envFile'])}: ${reason} ${file}`, {
        backend: alias,
        holds: true,
      }),
    )
  for (const { file, lines } of odd) {
    const message = `${pathText([...at, 'envFile'])}: ${leftOut(file, lines)}`
    // Instances may share the file.
    if (context.findings.some(finding => finding.message === message)) continue
    const hint = 'begin it with # if it is a comment; put a value of several lines in quotes'
    context.findings.push(warning('BAD_VALUE', [...at, 'envFile'], message, { backend: alias, hint }))
  }
  const env = { ...values, ...source.env }
  noteSecrets({ args, env }, context.secrets)
  return { kind: 'command', command: resolveCommand(command, base), args, env, cwd: resolvePath(cwd ?? '.', base), backup }
}

/** Without texts that have a reference in them. */
function literals({ args, url = '', env = {}, headers = {} }: Written): Written {
  const only = (map: Readonly<Record<string, string>>): Record<string, string> =>
    Object.fromEntries(Object.entries(map).filter(([, value]) => !hasReference(value)))
  return { args: args?.map(text => (hasReference(text) ? '' : text)), url: hasReference(url) ? '' : url, env: only(env), headers: only(headers) }
}

const namedLines = 5

/** Without the lines themselves: one may be a secret. */
function leftOut(file: string, [first, ...others]: readonly number[]): string {
  const said = `${file}:${first} is not NAME=value and is left out`
  if (others.length === 0) return said
  const more = others.length > namedLines ? ` and ${others.length - namedLines} more` : ''
  return `${said}; so are lines ${others.slice(0, namedLines).join(', ')}${more}`
}

/** Secrets written out in the file are no less secret. */
function noteSecrets(written: Written, secrets: Set<string>): void {
  for (const secret of secretsOf(written)) secrets.add(secret)
}

function behaviourOf(
  parsed: ParsedBackend,
  base: string,
): Omit<BackendConfig, 'alias' | 'enabled' | 'problems' | 'transport' | 'endpoints'> {
  const { balance, start, share, idleTimeout, restart, breaker, timeouts, limits, roots, idempotent } = parsed
  const { tools, prompts, resources } = parsed
  const offer = ({ include, exclude, rename, describe }: typeof tools) => ({ include, exclude, rename, describe })
  return {
    balance,
    start,
    share,
    idleTimeout,
    restart,
    breaker,
    timeouts,
    limits,
    idempotent,
    roots: roots?.map(({ uri, ...rest }) => ({
      uri: /^[a-z][a-z0-9+.-]+:\/\//i.test(uri) ? uri : pathToFileURL(resolvePath(uri, base)).href,
      ...rest,
    })),
    tools: offer(tools),
    prompts: offer(prompts),
    resources: { include: resources.include, exclude: resources.exclude },
  }
}
