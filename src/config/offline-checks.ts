/**
 * What `validate` looks at without starting anything: commands that are not there, secrets written out, file modes,
 * packages without a version. Reads the disk, changes nothing.
 */
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, isAbsolute, join, resolve, sep } from 'node:path'
import type { BackendConfig, CommandEndpoint, Endpoint } from './config.ts'
import { hasReference, type Environment } from './expand.ts'
import type { Loaded } from './load.ts'
import { unpinned } from './packages.ts'
import { fault, pathText, warning, type Finding, type Path, type Problem } from './problems.ts'
import { isTakenPath } from './schema.ts'
import { isPlainValue, isTokenShaped, looksSecret } from './secrets.ts'
import { isRaw } from './spellings.ts'

/** Variables that make a program load other code; worth a look when somebody else wrote the block. */
const loaders = new Set([
  'NODE_OPTIONS',
  'LD_PRELOAD',
  'LD_LIBRARY_PATH',
  'DYLD_INSERT_LIBRARIES',
  'DYLD_LIBRARY_PATH',
  'PYTHONSTARTUP',
  'PYTHONPATH',
  'BASH_ENV',
  'PERL5OPT',
  'RUBYOPT',
  'JAVA_TOOL_OPTIONS',
])

const runners = /^(?:npx|uvx|bunx|pipx|pnpx)$/

/** Where programs are looked for. */
export interface Search {
  readonly path: string
  /** Folders searched at a start when the path has no such program. */
  readonly more?: readonly string[] | undefined
  /** The client whose path this is, as people call it. */
  readonly of?: string | undefined
}

export interface OfflineOptions {
  /** Gives the PATH; default: this process's. */
  readonly env?: Environment | undefined
  /** Counts instead of that PATH. */
  readonly search?: Search | undefined
}

/** Problems of a config that loads. */
export async function offlineChecks(loaded: Loaded, { env = process.env, search }: OfflineOptions = {}): Promise<Problem[]> {
  const where = search ?? { path: env['PATH'] ?? env['Path'] ?? '' }
  const findings: Finding[] = [...checkModes(loaded), ...checkSettings(loaded)]
  for (const backend of loaded.config.backends) {
    if (!backend.enabled) continue
    const written = loaded.trail.backends.get(backend.alias)?.written ?? {}
    findings.push(...literalSecrets(written, ['mcpServers', backend.alias], backend.alias))
    const several = Array.isArray(written['instances'])
    backend.endpoints.forEach((endpoint, index) => {
      const at: Path = ['mcpServers', backend.alias, ...(several ? ['instances', index] : [])]
      findings.push(...checkEndpoint(endpoint, at, backend, where))
    })
  }
  return Promise.all(findings.map(loaded.trail.problem))
}

function* checkEndpoint(endpoint: Endpoint, at: Path, { alias }: BackendConfig, where: Search): Generator<Finding> {
  const own = { backend: alias }
  if (endpoint.kind === 'url') {
    const { protocol, hostname } = new URL(endpoint.url)
    const local = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)
    if (protocol === 'http:' && !local && Object.keys(endpoint.headers).some(looksSecret))
      yield warning('INSECURE_URL', [...at, 'url'], `${pathText([...at, 'url'])}: headers with secrets go over plain http`, {
        ...own,
        hint: 'use https',
      })
    if (endpoint.caFile !== undefined) yield* checkFile(endpoint.caFile, [...at, 'caFile'], alias)
    return
  }
  yield* checkCommand(endpoint, at, alias, where)
  for (const name of Object.keys(endpoint.env))
    if (loaders.has(name))
      yield warning(
        'LOADER_VARIABLE',
        [...at, 'env', name],
        `${pathText([...at, 'env', name])} makes the program load other code`,
        { ...own, on: 'key' },
      )
}

function* checkCommand(
  { command, args, cwd, env: own }: CommandEndpoint,
  at: Path,
  alias: string,
  where: Search,
): Generator<Finding> {
  const path = [...at, 'command']
  const search = own['PATH'] === undefined ? where : { ...where, path: own['PATH'], of: undefined }
  const dead = whyDead(command, search, cwd)
  if (dead)
    yield (dead.works ? warning : fault)(dead.works ? 'OFF_PATH' : 'DEAD_COMMAND', path, `${pathText(path)}: ${dead.message}`, {
      backend: alias,
      hint: dead.hint,
    })
  const name = command.replace(/^.*[/\\]/, '').replace(/\.(?:cmd|exe)$/i, '')
  if (runners.test(name) && !args.some(arg => !arg.startsWith('-')))
    yield fault('DEAD_COMMAND', path, `${pathText(path)}: ${name} without a package has nothing to run`, {
      backend: alias,
      hint: `name the package in "args"`,
    })
  const loose = unpinned(name, args)
  if (loose)
    yield warning('UNPINNED_PACKAGE', [...at, 'args'], `${pathText([...at, 'args'])}: ${loose.name} has no fixed version`, {
      backend: alias,
      hint: loose.hint,
    })
  if (!isFolder(cwd))
    yield fault('MISSING_FILE', [...at, 'cwd'], `${pathText([...at, 'cwd'])}: there is no folder ${cwd}`, { backend: alias })
}

interface Dead {
  readonly message: string
  readonly hint?: string | undefined
  /** It is found in another way. */
  readonly works?: boolean | undefined
}

/** In the words of a start that fails (transports/resolve-command.ts), where both can see it. */
function whyDead(command: string, { path, more = [], of }: Search, cwd: string): Dead | undefined {
  const extensions = process.platform === 'win32' ? ['', '.exe', '.cmd', '.bat', '.com'] : ['']
  const runs = (file: string): boolean => extensions.some(extension => isExecutable(file + extension))
  // On Windows a folder may stand in quotes.
  const bare = (folder: string): string => (process.platform === 'win32' ? folder.replace(/^"(.*)"$/, '$1') : folder)
  const folders = path.split(delimiter).map(bare).filter(Boolean)
  const wordsApart = (): string | undefined => {
    const line = command.startsWith(cwd + sep) ? command.slice(cwd.length + 1) : command
    const word = /^(\S+)\s/.exec(line)?.[1]
    if (word === undefined) return undefined
    const own = resolve(cwd, word)
    const program = runs(own) ? own : !word.includes(sep) && folders.some(folder => runs(join(folder, word))) ? word : undefined
    return program && `"command" is only the program: write ${program} there and put the rest into "args"`
  }
  if (isAbsolute(command)) {
    if (runs(command)) return undefined
    const apart = wordsApart()
    return { ...noProgram(command), ...(apart && { hint: apart }) }
  }
  const holds = (folder: string): boolean => runs(join(folder, command))
  if (folders.some(holds)) return undefined
  const whose = of === undefined ? 'the PATH' : `the PATH that ${of} gives to what it starts`
  const elsewhere = more.find(holds)
  if (elsewhere !== undefined)
    return { works: true, message: `the command ${command} is not on ${whose}; your login shell knows it`, hint: `write ${join(elsewhere, command)}` }
  const searched = [...folders, ...more]
  return {
    message: `the command ${command} is not on ${whose}`,
    hint: wordsApart() ?? `searched ${searched.length === 0 ? 'nowhere: PATH is empty' : searched.join(delimiter)}`,
  }
}

function noProgram(file: string): Dead {
  try {
    const found = statSync(file)
    if (found.isDirectory()) return { message: `${file} is a folder`, hint: 'name the program in it' }
    if (!found.isFile()) return { message: `${file} is not a program` }
    return { message: `${file} is not executable`, hint: `chmod +x '${file}'` }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    return { message: code === 'ENOENT' || code === 'ENOTDIR' ? `there is no file ${file}` : `${file} cannot be looked at (${code})` }
  }
}

/** `disk` and `platform`: for tests of another one. */
export function isExecutable(file: string, disk = { accessSync, statSync }, platform = process.platform): boolean {
  try {
    disk.accessSync(file, constants.X_OK)
    return disk.statSync(file).isFile()
  } catch (error) {
    // What Microsoft's store puts there (python.exe in WindowsApps) can be run, and not be looked at.
    const { code, syscall } = error as NodeJS.ErrnoException
    return platform === 'win32' && code === 'EACCES' && syscall === 'stat'
  }
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false

function* checkFile(file: string, at: Path, backend?: string): Generator<Finding> {
  if (!(statSync(file, { throwIfNoEntry: false })?.isFile() ?? false))
    yield fault('MISSING_FILE', at, `${pathText(at)}: there is no file ${file}`, { backend })
}

function* checkSettings({ config: { listen } }: Loaded): Generator<Finding> {
  const { http } = listen
  const at = ['listen', 'http', 'path']
  if (http && isTakenPath(http.path))
    yield fault('BAD_VALUE', at, `${pathText(at)}: the path ${http.path} is taken`, { hint: 'choose another one, such as /mcp' })
  if (http?.tokenFile !== undefined) yield* checkFile(http.tokenFile, ['listen', 'http', 'tokenFile'])
  if (http?.tls) for (const key of ['cert', 'key'] as const) yield* checkFile(http.tls[key], ['listen', 'http', 'tls', key])
}

/** Who can write the config can run programs as its owner. */
function* checkModes({ file, trail }: Loaded): Generator<Finding> {
  if (process.platform === 'win32') return
  const stat = statSync(file, { throwIfNoEntry: false })
  if (!stat?.isFile()) return
  const mode = (stat.mode & 0o777).toString(8).padStart(4, '0')
  if (stat.mode & 0o002)
    yield warning('UNSAFE_MODE', [], `anybody can change ${file} (mode ${mode})`, { hint: `chmod o-w '${file}'` })
  const secrets = [...trail.backends].flatMap(([alias, { written }]) => [
    ...literalSecrets(written, ['mcpServers', alias], alias),
  ])
  if (stat.mode & 0o044 && secrets.length > 0)
    yield warning('UNSAFE_MODE', [], `${file} has secrets in it that others can read (mode ${mode})`, {
      hint: `chmod 600 '${file}'`,
    })
}

function* literalSecrets(value: unknown, at: Path, backend: string): Generator<Finding> {
  if (Array.isArray(value)) for (const [index, item] of value.entries()) yield* literalSecrets(item, [...at, index], backend)
  else if (isRaw(value)) for (const [key, item] of Object.entries(value)) yield* literalSecrets(item, [...at, key], backend)
  else if (typeof value === 'string' && !hasReference(value)) {
    const [name, parent] = [at.at(-1), at.at(-2)]
    const named =
      typeof name === 'string' && (parent === 'env' || parent === 'headers') && looksSecret(name) && !isPlainValue(value)
    if (!named && !isTokenShaped(value)) return
    const suggestion = `${backend}_${typeof name === 'string' ? name : 'secret'}`.replace(/[^A-Za-z0-9_.-]/g, '_').slice(0, 64)
    yield warning('LITERAL_SECRET', at, `${pathText(at)}: a secret is written out here`, {
      backend,
      hint: `store it with "mcp-proxy credentials set ${suggestion}" and write \${cred:${suggestion}}`,
    })
  }
}
