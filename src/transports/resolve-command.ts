/**
 * From a configured command to the absolute path of a program, once, so that what runs does not depend on where we
 * stand. Owns the search and what it says when it finds nothing; starts nothing but the login shell.
 */
import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { posix, win32 } from 'node:path'
import { McpError } from '../gateway/errors.ts'
import { pathOf, type Environment } from './environment.ts'
import { loginPath, type LoginPath } from './login-path.ts'

export interface ResolveOptions {
  /** Folder that a command with a slash in it is relative to. */
  readonly cwd: string
  /** Environment of the child: its PATH is searched. */
  readonly environment: Environment
  readonly platform?: NodeJS.Platform | undefined
  /** Whether `path` is a file that can be run. */
  readonly isProgram?: ((path: string) => Promise<boolean>) | undefined
  readonly loginPath?: (() => Promise<LoginPath | undefined>) | undefined
}

export interface Resolved {
  readonly file: string
  /** The environment with every folder on its PATH that the program itself will need. */
  readonly environment: Environment
  /** A Windows batch file, which only cmd.exe can run. */
  readonly batch: boolean
}

/** Folders named in an error. */
const namedFolders = 20

/** Rejects with BACKEND_START_FAILED; the hint says what to do, or names the folders that were searched. */
export async function resolveCommand(command: string, options: ResolveOptions): Promise<Resolved> {
  const platform = options.platform ?? process.platform
  const windows = platform === 'win32'
  const path = windows ? win32 : posix
  const isProgram = options.isProgram ?? isExecutableFile
  const { environment } = options
  const done = (file: string): Resolved => ({
    file,
    // `#!/usr/bin/env node` beside a program of a version manager: its own folder comes last, so it changes nothing else.
    environment: withFolders(environment, [path.dirname(file)], platform),
    batch: windows && /\.(cmd|bat)$/i.test(file),
  })

  // Empty and relative entries would mean whatever folder we happen to stand in.
  const folders = pathOf(environment, platform)
    .split(path.delimiter)
    // On Windows a folder may stand in quotes.
    .map(folder => (windows ? folder.replace(/^"(.*)"$/, '$1') : folder))
    .filter(path.isAbsolute)
  const search = (where: readonly string[], name = command): Promise<string | undefined> =>
    firstProgram(
      where.flatMap(folder => withExtensions(path.join(folder, name), environment, windows)),
      isProgram,
    )
  /** What to do where a whole command line stands in the place of the program. */
  const wordsApart = async (): Promise<string | undefined> => {
    // One with a slash in it was made absolute by the config.
    const line = command.startsWith(options.cwd + path.sep) ? command.slice(options.cwd.length + 1) : command
    const word = /^(\S+)\s/.exec(line)?.[1]
    if (word === undefined) return undefined
    const own = await firstProgram(withExtensions(path.resolve(options.cwd, word), environment, windows), isProgram)
    const program = own ?? (!word.includes(path.sep) && (await search(folders, word)) ? word : undefined)
    return program && `"command" is only the program: write ${program} there and put the rest into "args"`
  }

  if (command === '') throw new McpError('BACKEND_START_FAILED', 'the command is empty')
  if (command.includes('\0')) throw new McpError('BACKEND_START_FAILED', 'the command has a NUL character in it')
  if (command.includes('/') || (windows && /[\\:]/.test(command))) {
    const file = await firstProgram(withExtensions(path.resolve(options.cwd, command), environment, windows), isProgram)
    if (file !== undefined) return done(file)
    throw await noProgram(path.resolve(options.cwd, command), await wordsApart())
  }

  const file = await search(folders)
  if (file !== undefined) return done(file)
  const login = windows ? undefined : await (options.loginPath ?? loginPath)()
  const more = (login?.folders ?? []).filter(folder => !folders.includes(folder))
  const found = await search(more)
  if (found === undefined) throw notFound(command, (await wordsApart()) ?? searchedIn(folders, login, more))
  return { ...done(found), environment: withFolders(environment, more, platform) }
}

/** `validate` says the same without starting anything (config/offline-checks.ts). */
async function noProgram(file: string, wordsApart: string | undefined): Promise<McpError> {
  const failed = (message: string, hint?: string): McpError => new McpError('BACKEND_START_FAILED', message, { hint: wordsApart ?? hint })
  try {
    const found = await stat(file)
    if (found.isDirectory()) return failed(`${file} is a folder`, 'name the program in it')
    if (!found.isFile()) return failed(`${file} is not a program`)
    if (process.platform === 'win32') return failed(`${file} is not a program`, 'name a file with an extension that Windows can run')
    return failed(`${file} is not executable`, `chmod +x '${file}'`)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    if (code === 'ENOENT' || code === 'ENOTDIR') return failed(`there is no file ${file}`)
    return failed(`${file} cannot be looked at (${code})`)
  }
}

const notFound = (command: string, hint: string): McpError =>
  new McpError('BACKEND_START_FAILED', `the command ${command} was not found`, { hint })

function searchedIn(folders: readonly string[], login: LoginPath | undefined, more: readonly string[]): string {
  const list = (names: readonly string[]): string =>
    names.slice(0, namedFolders).join(', ') + (names.length > namedFolders ? ` and ${names.length - namedFolders} more` : '')
  const searched = folders.length > 0 ? `searched ${list(folders)}` : 'PATH is empty'
  const shell =
    login && (more.length > 0 ? `, and what ${login.shell} adds: ${list(more)}` : `; ${login.shell} adds nothing to it`)
  return `${searched}${shell ?? ''}. Install it, or give its absolute path`
}

function withFolders(environment: Environment, folders: readonly string[], platform: NodeJS.Platform): Environment {
  const path = platform === 'win32' ? win32 : posix
  const before = pathOf(environment, platform)
  const present = before.split(path.delimiter)
  const missing = folders.filter(folder => !present.includes(folder))
  if (missing.length === 0) return environment
  const name =
    Object.keys(environment).find(key => key === 'PATH' || (platform === 'win32' && key.toUpperCase() === 'PATH')) ?? 'PATH'
  return { ...environment, [name]: [...(before === '' ? [] : [before]), ...missing].join(path.delimiter) }
}

/** On Windows `npx` means `npx.cmd`; a bare file without extension cannot be run there. */
function withExtensions(file: string, environment: Environment, windows: boolean): string[] {
  if (!windows) return [file]
  const configured = Object.entries(environment).find(([name]) => name.toUpperCase() === 'PATHEXT')?.[1]
  const extensions = (configured ?? '.COM;.EXE;.BAT;.CMD').split(';').filter(extension => extension.startsWith('.'))
  if (extensions.some(extension => file.toLowerCase().endsWith(extension.toLowerCase()))) return [file]
  return extensions.map(extension => file + extension.toLowerCase())
}

async function firstProgram(
  candidates: readonly string[],
  isProgram: (path: string) => Promise<boolean>,
): Promise<string | undefined> {
  for (const candidate of candidates) if (await isProgram(candidate)) return candidate
  return undefined
}

/** `disk` and `platform`: for tests of another one. */
export async function isExecutableFile(path: string, disk = { stat, access }, platform = process.platform): Promise<boolean> {
  try {
    const isFile = await disk.stat(path).then(
      found => found.isFile(),
      // What Microsoft's store puts there (python.exe in WindowsApps) can be run, and not be looked at.
      error => platform === 'win32' && (error as NodeJS.ErrnoException).code === 'EACCES',
    )
    if (!isFile) return false
    await disk.access(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
