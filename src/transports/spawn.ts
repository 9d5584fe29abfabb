/**
 * Starts a program as configured: no shell, its own process group, a minimal environment. Owns the operating system's
 * quirks of starting; what the program says and how it ends are its channel's business.
 */
import { spawn, type ChildProcessWithoutNullStreams, type SpawnOptionsWithoutStdio } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { win32 } from 'node:path'
import { McpError } from '../gateway/errors.ts'
import { childEnvironment } from './environment.ts'
import { isExecutableFile, resolveCommand, type Resolved } from './resolve-command.ts'

export interface SpawnSpec {
  /** A name to be searched on PATH, or a path; a relative one counts from `cwd`. */
  readonly command: string
  readonly args?: readonly string[] | undefined
  /** Added to the minimal environment. */
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly cwd?: string | undefined
}

/** Where to look for programs and what the environment is a part of; for tests and other platforms. */
export interface SpawnOptions {
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined
  readonly resolve?: typeof resolveCommand | undefined
}

export interface Started {
  readonly child: ChildProcessWithoutNullStreams
  readonly pid: number
  /** The child leads a process group of its own; otherwise its group may be ours and must not be signalled. */
  readonly leads: boolean
}

/**
 * Starts the program. Rejects with BACKEND_START_FAILED, its hint saying what to do. `born` runs in the same turn as the
 * start.
 */
export async function start(spec: SpawnSpec, options: SpawnOptions = {}, born?: (pid: number) => void): Promise<Started> {
  const cwd = spec.cwd ?? process.cwd()
  const environment = childEnvironment(options.environment ?? process.env, spec.env)
  if (!(await isFolder(cwd))) throw new McpError('BACKEND_START_FAILED', `the working folder ${cwd} does not exist`)
  const resolved = await (options.resolve ?? resolveCommand)(spec.command, { cwd, environment })
  const args = [...(spec.args ?? [])]
  const posix = process.platform !== 'win32'
  const run = posix ? spawn : await windowsSpawn(resolved, args)
  let child: ChildProcessWithoutNullStreams
  try {
    if (posix) makeSureOfRoom()
    child = run(resolved.file, args, { cwd, env: resolved.environment, detached: posix, windowsHide: true, stdio: 'pipe' })
  } catch (cause) {
    throw startFailed(cause, resolved)
  }
  if (child.pid !== undefined) born?.(child.pid)
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', cause => reject(startFailed(cause, resolved)))
  })
  // A failed kill is reported as an 'error' event much later; nobody is to die of it.
  child.on('error', () => {})
  return { child, pid: child.pid as number, leads: posix }
}

/** Three pairs of pipe ends, one more for the report of exec, and a few for whoever opens files at the same time. */
const filesOfAStart = 12

/**
 * Node loses the pipes of a start that fails for want of file descriptors (EMFILE), so that each attempt would take some
 * for ever: whether there is room is tried first. Throws what opening a file throws.
 */
function makeSureOfRoom(): void {
  const held: number[] = []
  try {
    while (held.length < filesOfAStart) held.push(openSync('/dev/null', 'r'))
  } finally {
    for (const file of held) closeSync(file)
  }
}

type Spawn = (file: string, args: readonly string[], options: SpawnOptionsWithoutStdio) => ChildProcessWithoutNullStreams

/** What starts this file on Windows. */
export async function windowsSpawn(
  { file, batch }: Pick<Resolved, 'file' | 'batch'>,
  args: readonly string[],
  isProgram: (path: string) => Promise<boolean> = isExecutableFile,
): Promise<Spawn> {
  // cross-spawn would look at the file itself, and give to cmd.exe what it cannot look at.
  if (/\.(?:exe|com)$/i.test(file)) return spawn
  if (batch && args.some(arg => metacharacters.test(arg))) {
    // npm leaves the end of a line as it is, and cmd.exe drops what follows it.
    const behind = args.some(arg => /[\r\n\0]/.test(arg)) ? undefined : await behindBatch(file, isProgram)
    if (behind) return (_, words, options) => spawn(behind.node, [behind.script, ...words], options)
    refuseMetacharacters(file, args)
  }
  const { default: crossSpawn } = await import('cross-spawn')
  return crossSpawn as unknown as Spawn
}

/**
 * The batch files of Node itself start Node with a script beside them, which is as well done without cmd.exe: an address with a
 * `&` in it is an everyday argument of npx. npm itself gives it to cmd.exe, so it must be one that quotes for that: before npm 9
 * it did not in every version. Undefined for any other file.
 */
export async function behindBatch(
  file: string,
  isProgram: (path: string) => Promise<boolean>,
): Promise<{ readonly node: string; readonly script: string } | undefined> {
  const name = /^(npx|npm)\.cmd$/i.exec(win32.basename(file))?.[1]?.toLowerCase()
  if (name === undefined) return undefined
  const beside = (...path: string[]): string => win32.join(win32.dirname(file), ...path)
  const behind = { node: beside('node.exe'), script: beside('node_modules', 'npm', 'bin', `${name}-cli.js`) }
  const needed = [behind.node, behind.script, beside('node_modules', 'npm', 'node_modules', '@npmcli', 'promise-spawn', 'lib', 'escape.js')]
  for (const path of needed) if (!(await isProgram(path))) return undefined
  return behind
}

const metacharacters = /["%!^&|<>\r\n\0]/

/**
 * cmd.exe parses the arguments of a batch file a second time, and no quoting holds against that in every case
 * (CVE-2024-27980). Throws BACKEND_START_FAILED.
 */
export function refuseMetacharacters(file: string, args: readonly string[]): void {
  const at = args.findIndex(arg => metacharacters.test(arg))
  if (at === -1) return
  const hint = 'name the program behind it instead, such as node with the path of its script'
  throw new McpError(
    'BACKEND_START_FAILED',
    `argument ${at + 1} has characters that cmd.exe would interpret, and ${file} is run by cmd.exe`,
    { hint },
  )
}

const hints: Readonly<Record<string, string>> = {
  ENOENT: 'if it is a script, check the interpreter in its first line',
  EACCES: 'make it executable (chmod +x)',
  ENOEXEC: 'it is not a program for this system; a script needs an interpreter in its first line',
  E2BIG: 'its arguments and environment are too long together',
  EAGAIN: 'the limit of processes is reached (ulimit -u)',
  EMFILE: 'the limit of open files is reached (ulimit -n)',
  ENFILE: 'the system is out of open files',
  ENOMEM: 'the system is out of memory',
}

function startFailed(cause: unknown, { file }: Resolved): McpError {
  const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error'
  return new McpError('BACKEND_START_FAILED', `${file} could not be started: ${code}`, { hint: hints[code], cause })
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    return false
  }
}
