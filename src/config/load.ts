/**
 * From a file to a config: reads, tidies, resolves, checks, and says everything that is wrong at once, each with its
 * place. Knows the order of these steps; what each means stands in its own file.
 */
import { dirname, resolve } from 'node:path'
import { McpError } from '../gateway/errors.ts'
import { buildBackend, type BackendDraft } from './backend.ts'
import type { BackendConfig, Config, ListenConfig } from './config.ts'
import { checkKeys, issueFindings } from './examine.ts'
import { expandTree, type Environment, type Lookup, type TreeExpansion } from './expand.ts'
import { outline, type Outline } from './outline.ts'
import { applyOverrides } from './overrides.ts'
import { resolvePath } from './paths.ts'
import { fault, pathText, warning, type Finding, type Path, type Problem } from './problems.ts'
import { settingsSchema, type ParsedSettings } from './schema.ts'
import { readSource, type Source } from './source.ts'
import type { Raw } from './spellings.ts'

export interface LoadOptions {
  /** Default: this process's. */
  readonly env?: Environment
  /** undefined = there is no such credential. May throw CREDENTIALS_UNSAFE or CREDENTIALS_INVALID. Default: there are none. */
  readonly credential?: (name: string) => string | undefined
}

export interface Loaded {
  /** Absolute. */
  readonly file: string
  readonly config: Config
  /** Warnings, and what holds single backends back. */
  readonly problems: readonly Problem[]
  /** Values that must never be shown or logged. */
  readonly secrets: ReadonlySet<string>
  /** Everything the config was made from, itself first; absolute. Files that were missing are among them. */
  readonly files: readonly string[]
  readonly trail: Trail
}

/** Where everything came from, for those who explain the config. Paths are our own (`mcpServers.a.url`). */
export interface Trail {
  /** As written, in our own keys; and with the environment's values over them and references resolved. */
  readonly settings: { readonly written: Raw; readonly resolved: Raw }
  readonly backends: ReadonlyMap<string, { readonly written: Raw; readonly resolved: Raw }>
  /** Path as JSON → environment variable. */
  readonly variables: ReadonlyMap<string, string>
  /** Path as JSON → what became of the references in the text there. */
  readonly marks: TreeExpansion['marks']
  problem(finding: Finding): Promise<Problem>
}

/** More would not be read. */
const maxProblems = 100

/** Loads a config. Rejects with CONFIG_NOT_FOUND, or with CONFIG_INVALID whose `details.problems` are Problem objects. */
export const loadConfig = async (path: string, options: LoadOptions = {}): Promise<Loaded> =>
  loadedOf(await inspectConfig(path, options))

/** The same for what stands in no file; relative paths start from `base`. `name` stands for the file in problems. */
export async function loadValue(document: Raw, name: string, base: string, options: LoadOptions = {}): Promise<Loaded> {
  const nowhere = { file: name, value: document, findings: [], locate: async () => ({ line: 1, column: 1 }) }
  return loadedOf(await inspect(resolve(base, name), nowhere, options))
}

function loadedOf({ file, problems, loaded }: Inspection): Loaded {
  if (loaded) return loaded
  const errors = problems.filter(({ severity }) => severity === 'error')
  const [first] = errors
  const message = errors.length === 1 && first ? first.message : `${file} has ${errors.length} errors`
  throw new McpError('CONFIG_INVALID', message, { problems, hint: errors.length === 1 ? first?.hint : undefined })
}

export interface Inspection {
  readonly file: string
  readonly problems: readonly Problem[]
  /** undefined when the problems leave nothing to run. */
  readonly loaded: Loaded | undefined
}

/** The same, for those who show problems instead of failing. Rejects only when the file cannot be read at all. */
export async function inspectConfig(path: string, options: LoadOptions = {}): Promise<Inspection> {
  const file = resolve(path)
  return inspect(file, await readSource(file), options)
}

async function inspect(file: string, source: Source, options: LoadOptions): Promise<Inspection> {
  const findings: Finding[] = [...source.findings]
  const parts = source.findings.length > 0 && source.value === undefined ? undefined : outline(source.value, findings)
  const problem = (finding: Finding): Promise<Problem> => locate(finding, source, parts)
  const made = parts && build(file, parts, findings, options, problem)
  const problems = await Promise.all(worst(findings).map(problem))
  problems.sort((a, b) => a.line - b.line || a.column - b.column)
  if (!made) return { file, problems, loaded: undefined }
  const backends = made.drafts.map(({ config }): BackendConfig => {
    const own = problems.filter(({ backend, severity }) => backend === config.alias && severity === 'error')
    return { ...config, endpoints: own.length > 0 ? [] : config.endpoints, problems: own }
  })
  return { file, problems, loaded: { ...made.rest, problems, config: { ...made.config, backends } } }
}

/** Errors first, and of every held backend at least one. */
function worst(findings: readonly Finding[]): Finding[] {
  const errors = findings.filter(({ severity }) => severity === 'error')
  const shown = [...errors, ...findings.filter(({ severity }) => severity === 'warning')].slice(0, maxProblems)
  const named = new Set(shown.map(({ backend }) => backend))
  for (const error of errors.slice(maxProblems)) {
    if (!error.holds || named.has(error.backend)) continue
    named.add(error.backend)
    shown.push(error)
  }
  return shown
}

async function locate(finding: Finding, source: Source, parts: Outline | undefined): Promise<Problem> {
  const { severity, code, hint, backend, variable } = finding
  const at = parts ? parts.origin(finding.at) : finding.at
  // In the words of the file, where those are not ours.
  const message = at.length > 0 ? finding.message.replace(pathText(finding.at), pathText(at)) : finding.message
  const rest = { severity, code, message, ...(hint === undefined ? {} : { hint }), ...(backend === undefined ? {} : { backend }) }
  if (variable !== undefined) return { ...rest, file: 'environment', line: 1, column: 1, path: variable }
  const position = await source.locate(finding, at)
  return { ...rest, file: source.file, ...position, path: pathText(at) }
}

interface Made {
  readonly config: Omit<Config, 'backends'>
  readonly drafts: readonly BackendDraft[]
  readonly rest: Omit<Loaded, 'problems' | 'config'>
}

/** undefined when a finding stops everything. */
function build(
  file: string,
  parts: Outline,
  findings: Finding[],
  options: LoadOptions,
  problem: Trail['problem'],
): Made | undefined {
  const { env = process.env, credential = () => undefined } = options
  const lookup: Lookup = { env, base: dirname(file), credential }
  const secrets = new Set<string>()
  const files = new Set<string>([file])
  const marks = new Map<string, 'secret' | 'resolved' | 'unresolved'>()
  const keep = (expanded: TreeExpansion['marks'], at: Path): void => {
    for (const [path, mark] of expanded) marks.set(JSON.stringify([...at, ...(JSON.parse(path) as Path)]), mark)
  }

  const known = checkKeys(settingsSchema, parts.settings, [], findings) as Raw
  const { settings: overridden, variables } = applyOverrides(known, env, findings)
  const expansion = expandTree(overridden, lookup)
  keep(expansion.marks, [])
  for (const secret of expansion.secrets) secrets.add(secret)
  for (const found of expansion.files) files.add(found)
  for (const { code, message, hint, at } of expansion.troubles)
    findings.push(fault(code, at, `${pathText(at)}: ${message}`, { hint }))
  const parsed = settingsSchema.safeParse(expansion.value)
  const issues = (parsed.error?.issues ?? []).filter(({ path }) => expansion.marks.get(JSON.stringify(path)) !== 'unresolved')
  for (const finding of issueFindings(issues, overridden, [])) findings.push(fromVariable(finding, variables))

  const resolved = expansion.value as Raw
  const defaults = (resolved['defaults'] ?? {}) as Raw
  const context = { lookup, defaults, findings, secrets, files }
  const separator = parsed.data?.names.separator ?? '__'
  const drafts: BackendDraft[] = []
  const backends = new Map<string, { written: Raw; resolved: Raw }>()
  for (const [alias, raw] of parts.backends) {
    if (alias.includes(separator))
      findings.push(
        fault('BAD_ALIAS', ['mcpServers', alias], `the alias ${alias} contains the separator ${separator}`, {
          on: 'key',
          hint: 'rename it, or set names.separator',
        }),
      )
    const draft = buildBackend(alias, raw, context)
    if (!draft) continue
    drafts.push(draft)
    backends.set(alias, { written: raw, resolved: draft.resolved })
    keep(draft.marks, ['mcpServers', alias])
  }
  warnAboutNothing(drafts, findings)
  if (!parsed.data || findings.some(({ severity, holds }) => severity === 'error' && !holds)) return undefined
  return {
    config: settingsOf(parsed.data, lookup.base),
    drafts,
    rest: {
      file,
      secrets,
      files: [...files],
      trail: { settings: { written: known, resolved }, backends, variables, marks, problem },
    },
  }
}

function fromVariable(finding: Finding, variables: ReadonlyMap<string, string>): Finding {
  const variable = variables.get(JSON.stringify(finding.at))
  return variable === undefined
    ? finding
    : { ...finding, variable, message: finding.message.replace(pathText(finding.at), variable) }
}

function warnAboutNothing(drafts: readonly BackendDraft[], findings: Finding[]): void {
  if (drafts.length > 0 && drafts.every(({ config }) => !config.enabled))
    findings.push(warning('NO_SERVERS', [], 'every server is disabled'))
}

function settingsOf(parsed: ParsedSettings, base: string): Omit<Config, 'backends'> {
  const { names, startWait, listen, log, daemon, catalog, clients } = parsed
  const path = (value: string | undefined): string | undefined => (value === undefined ? undefined : resolvePath(value, base))
  return {
    names,
    startWait,
    listen: listenOf(listen, path),
    log: { level: log.level, format: log.format, file: path(log.file) },
    daemon,
    catalog,
    clients,
  }
}

function listenOf(
  { http, socket }: ParsedSettings['listen'],
  path: (value: string | undefined) => string | undefined,
): ListenConfig {
  // A named pipe of Windows is no path to be resolved.
  const resolved = socket?.startsWith('\\\\') ? socket : path(socket)
  if (!http) return { http: undefined, socket: resolved }
  const { host, port, allowedHosts, allowedOrigins, tls } = http
  return {
    http: {
      host,
      port,
      path: http.path,
      allowedHosts,
      allowedOrigins,
      tokenFile: path(http.tokenFile),
      tls: tls && { cert: path(tls.cert) as string, key: path(tls.key) as string },
    },
    socket: resolved,
  }
}
