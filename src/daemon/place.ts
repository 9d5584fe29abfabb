/**
 * Where the daemon of one config file keeps what others find it by: socket, state, lock, crash record, log. Owns names and
 * the safety of folders; reads and writes no content.
 */
import { createHash } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { lstat, mkdir } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import type { Places } from '../config/places.ts'

export interface DaemonPlace {
  /** The config file, absolute. */
  readonly file: string
  /** Path of a unix socket, or what the names of its pipes begin with. */
  readonly socket: string
  readonly state: string
  readonly lock: string
  readonly crashes: string
  readonly log: string
}

/** sockaddr_un holds 104 bytes on macOS and the BSDs, 108 on Linux, one of them for the end. */
const maxSocketBytes = 103

/** One daemon serves one config directory and one config file. `spell`: a path as the disk has it. */
export function daemonPlace(
  places: Places,
  config: string,
  platform: NodeJS.Platform = process.platform,
  spell: (path: string) => string = realpathSync.native,
): DaemonPlace {
  const file = realPath(config, realpathSync)
  // The disks of macOS and Windows know no case: `c:\x` and `C:\X` are one file, and so one daemon.
  const key = createHash('sha256').update(`${places.config}\0${realPath(file, spell)}`).digest('hex').slice(0, 12)
  const named = (suffix: string): string => join(places.runtime, `daemon-${key}.${suffix}`)
  return {
    file,
    socket: platform === 'win32' ? `\\\\.\\pipe\\mcp-proxy-${pipeOwner()}-${key}` : socketPath(named('sock'), key),
    state: named('json'),
    lock: named('lock'),
    crashes: named('crashes.json'),
    log: join(places.state, `daemon-${key}.log`),
  }
}

/**
 * What the daemon of this nonce listens on. The name of a pipe is taken until the last client of who had it is gone, and the next
 * daemon does not wait for that: each has its own.
 */
export const socketOf = ({ socket }: DaemonPlace, nonce: string, platform: NodeJS.Platform = process.platform): string =>
  platform === 'win32' ? `${socket}-${nonce}` : socket

/** A path too long for a socket is replaced by a short one in a folder that is the user's alone. */
function socketPath(usual: string, key: string): string {
  if (Buffer.byteLength(usual) <= maxSocketBytes) return usual
  const folder = createHash('sha256').update(dirname(usual)).digest('hex').slice(0, 12)
  return join(tmpdir(), `mcp-proxy-${userInfo().uid}-${folder}`, `${key}.sock`)
}

/** Pipes of all users share one name space. */
const pipeOwner = (): string => createHash('sha256').update(userInfo().username).digest('hex').slice(0, 12)

function realPath(path: string, spell: (path: string) => string): string {
  try {
    return spell(path)
  } catch {
    return path
  }
}

/** Makes the folders. Rejects where they cannot be made, or belong to or are open to others. */
export async function prepare(place: DaemonPlace, platform: NodeJS.Platform = process.platform): Promise<void> {
  const folders = [dirname(place.state), dirname(place.log), ...(platform === 'win32' ? [] : [dirname(place.socket)])]
  for (const folder of new Set(folders)) await mkdir(folder, { recursive: true, mode: 0o700 })
  if (platform === 'win32') return
  for (const folder of new Set([dirname(place.state), dirname(place.socket)])) {
    const found = await lstat(folder)
    // A link could be turned to another folder later; the runtime folder itself may be one, below a home that is.
    const isOurs = folder === dirname(place.state) || found.isDirectory()
    if (!isOurs || (found.uid !== process.getuid?.() && !found.isSymbolicLink()) || (found.isDirectory() && (found.mode & 0o022) !== 0))
      throw new Error(`${folder} can be written to by others`)
  }
}
