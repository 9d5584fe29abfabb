/**
 * What a running daemon says of itself to those who want to reach it: a file only its user can read. The token in it proves to
 * the daemon that who connects could read it.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { renameOver } from '../credentials/rename.ts'
import type { ProcessRef } from '../transports/process-tree.ts'

export interface DaemonState {
  readonly pid: number
  readonly nonce: string
  readonly version: string
  readonly socket: string
  readonly token: string
  /** Names of the environment variables that its config reads. */
  readonly variables: readonly string[]
  /** Of their values, see `fingerprint`. */
  readonly fingerprint: string
  /** Who starts it again when it crashes. */
  readonly supervisor?: ProcessRef | undefined
}

const maxBytes = 256 * 1024

/** undefined = there is none that can be trusted. */
export async function readState(path: string): Promise<DaemonState | undefined> {
  try {
    const { uid, mode, size } = await stat(path)
    if (size > maxBytes) return undefined
    if (process.getuid && (uid !== process.getuid() || (mode & 0o077) !== 0)) return undefined
    const state = JSON.parse(await readFile(path, 'utf8')) as DaemonState
    const texts = [state.nonce, state.version, state.socket, state.token, state.fingerprint]
    return Number.isSafeInteger(state.pid) && texts.every(text => typeof text === 'string') && Array.isArray(state.variables) ? state : undefined
  } catch {
    return undefined
  }
}

export async function writeState(path: string, state: DaemonState): Promise<void> {
  const fresh = `${path}.${state.nonce}`
  await rm(fresh, { force: true })
  await writeFile(fresh, JSON.stringify(state), { mode: 0o600, flag: 'wx' })
  await renameOver(fresh, path)
}

/** In a time that says nothing of where they differ. */
export function isSame(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(one), digest(other))
}

/** Settings that can come from the environment; these names of ours mean something else. */
const ownVariables = /^MCP_PROXY_(?!_|(?:CONFIG|HOME|TOKEN|NO_DAEMON|PROFILE|CLIENT|DEBUG)$)/

/**
 * Two environments with equal fingerprints make the same of a config that reads these variables. Keyed, so that the file
 * gives no value away to who guesses.
 */
export function fingerprint(variables: readonly string[], env: Readonly<Record<string, string | undefined>>, token: string): string {
  const names = new Set([...variables, ...Object.keys(env).filter(name => ownVariables.test(name) && env[name] !== '')])
  const values = [...names].sort().map(name => [name, env[name] ?? null])
  return createHmac('sha256', token).update(JSON.stringify(values)).digest('hex')
}

const reference = /\$\{(?:env:|cred:)?([A-Za-z_][A-Za-z0-9_]*)(?::-[^}]*)?\}/g

/** Names of the variables that texts of a config as it is written refer to; a credential may come from one of its name. */
export function variablesIn(written: unknown): string[] {
  const names = new Set<string>()
  const walk = (node: unknown): void => {
    if (typeof node === 'string') for (const [, name] of node.matchAll(reference)) names.add(name as string)
    else if (typeof node === 'object' && node !== null) for (const each of Object.values(node)) walk(each)
  }
  walk(written)
  return [...names].sort()
}
