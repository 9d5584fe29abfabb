/**
 * The PATH of the user's login shell: an application started by a desktop has a bare one, without nvm, Homebrew and the
 * like. Asked for only when a command was not found, once per process, and never for long.
 */
import { spawn } from 'node:child_process'
import { userInfo } from 'node:os'
import { basename, isAbsolute } from 'node:path'
import { signalGroup } from './process-tree.ts'

export const loginPathDefaults = { capMs: 3_000, outputBytes: 256 * 1024 } as const

const mark = '__MCP_PROXY_PATH__'
/** Shells that read their start-up files with these flags and expand `"$PATH"` to a list with colons. */
const shells = new Set(['bash', 'zsh', 'sh', 'dash', 'ksh', 'fish'])

export interface LoginPath {
  readonly shell: string
  /** Absolute folders, in order; empty when the shell did not say in time. */
  readonly folders: readonly string[]
}

let known: Promise<LoginPath | undefined> | undefined

/** Undefined when there is no login shell we know how to ask. Never rejects. */
export const loginPath = (): Promise<LoginPath | undefined> => (known ??= askShell(loginShell(), loginPathDefaults.capMs))

function loginShell(): string | undefined {
  const configured = process.env['SHELL']
  if (configured) return configured
  try {
    return userInfo().shell ?? undefined
  } catch {
    return undefined
  }
}

/** Starts `shell` as a login shell and has it print its PATH; gives up after `capMs`. */
export function askShell(shell: string | undefined, capMs: number): Promise<LoginPath | undefined> {
  if (process.platform === 'win32' || !shell || !isAbsolute(shell) || !shells.has(basename(shell)))
    return Promise.resolve(undefined)
  return new Promise(resolve => {
    // Interactive, because version managers put themselves into the files of interactive shells; in a session of its
    // own, so that it cannot take our terminal.
    const child = spawn(shell, ['-ilc', `printf '%s%s%s' ${mark} "$PATH" ${mark}`], {
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    })
    let output = ''
    const finish = (): void => {
      clearTimeout(timer)
      if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL')
      child.stdout.destroy()
      const found = output.split(mark)[1] ?? ''
      resolve({ shell, folders: output.split(mark).length === 3 ? found.split(':').filter(isAbsolute) : [] })
    }
    const timer = setTimeout(finish, capMs)
    child.on('error', finish)
    child.on('exit', () => setImmediate(finish))
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8')
      // Start-up files may print anything; the marks say when the answer is complete.
      if (output.split(mark).length === 3 || output.length > loginPathDefaults.outputBytes) finish()
    })
  })
}
