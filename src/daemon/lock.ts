/**
 * At most one daemon per config: a file that names its owner, made in one step, taken over in one step when its owner is
 * gone. Owns the proof that an owner is gone; knows nothing of what it protects.
 */
import { randomBytes } from 'node:crypto'
import { link, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { isPassing } from '../credentials/rename.ts'
import { findProcess, unknownStart, viewOf, type ProcessRef, type ProcessView } from '../transports/process-tree.ts'
import { bootId } from '../transports/run-file.ts'
import { hasSign, showSign, type SignPath } from './sign.ts'

export interface LockOwner extends ProcessRef {
  /** Which boot of the machine `start` counts from; empty where that is not known. */
  readonly boot: string
  /** Of this very lock: a later process with an equal pid and start is another one. */
  readonly nonce: string
  /** Epoch milliseconds. */
  readonly since: number
}

export interface Lock {
  /** Who held it before and did not let go, though the machine has not been restarted since. */
  readonly crashed: LockOwner | undefined
  /** Rejects where that cannot be told for now: no file descriptors left, or on Windows a file that somebody else keeps to himself. */
  isOurs(): Promise<boolean>
  /** Removes it if it is still ours. */
  release(): Promise<void>
}

export type Taken = { readonly lock: Lock } | { readonly owner: LockOwner }

/** A takeover is a rename; one that takes this long was broken off. */
const tornAfterMs = 5_000
const attempts = 50

/** How owners are known on this system; tests describe another. */
export interface Proof {
  readonly view: ProcessView
  /** Where processes cannot be listed: the sign of life that says more than an id. */
  readonly sign: SignPath | undefined
}

const proofHere: Proof = { view: viewOf(), sign: process.platform === 'win32' ? nonce => `\\\\.\\pipe\\mcp-proxy-alive-${nonce}` : undefined }

/** Takes the lock, or says whose it is. Rejects when the folder cannot be written to. */
export async function takeLock(path: string, proof: Proof = proofHere): Promise<Taken> {
  const start = (await findProcess(process.pid))?.start ?? unknownStart
  const self: LockOwner = { pid: process.pid, start, boot: bootId(), nonce: randomBytes(8).toString('hex'), since: Date.now() }
  const mine = `${path}.${self.nonce}`
  // Before anybody can read our name. Who has the lock shows it to its end: it may be released long before that.
  const hide = proof.sign && (await showSign(proof.sign(self.nonce)))
  let taken: Taken | undefined
  try {
    await writeFile(mine, JSON.stringify(self), { mode: 0o600, flag: 'wx' })
    for (let attempt = 0; attempt < attempts; attempt++) {
      if (await linked(mine, path)) return (taken = { lock: lockOf(path, self, undefined) })
      const owner = await readOwner(path)
      if (owner && (await isAlive(owner, proof))) return { owner }
      // Let go of just now: then it is to be made, not to be taken over.
      const isThere = owner !== undefined || (await stat(path).then(() => true, () => false))
      if (isThere && (await takeOver(path, mine, owner)))
        return (taken = { lock: lockOf(path, self, owner?.boot === self.boot ? owner : undefined) })
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  } finally {
    if (!taken) hide?.()
    await rm(mine, { force: true })
  }
  throw new Error(`the lock ${path} can be neither taken nor read`)
}

export async function readOwner(path: string): Promise<LockOwner | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return ownerIn(text)
}

function ownerIn(text: string): LockOwner | undefined {
  try {
    const { pid, start, boot, nonce, since } = JSON.parse(text) as LockOwner
    const isWhole = Number.isSafeInteger(pid) && pid > 1 && [start, boot, nonce].every(each => typeof each === 'string') && Number.isFinite(since)
    return isWhole && /^[0-9a-f]{16}$/.test(nonce) ? { pid, start, boot, nonce, since } : undefined
  } catch {
    return undefined
  }
}

export async function isAlive({ pid, start, boot, nonce }: LockOwner, { view, sign }: Proof = proofHere): Promise<boolean> {
  if (boot !== bootId()) return false
  if (sign) return hasSign(sign(nonce))
  const row = await findProcess(pid, view)
  // `ps` that cannot be run, or takes too long, must not make a dead one of a living one.
  if (!row && view !== 'proc') return exists(pid)
  return row !== undefined && (start === unknownStart || row.start === start)
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST' || isPassing(error)) return false
    throw error
  }
}

/**
 * Puts our file in the place of a dead owner's. Only who makes the `taking` file of that very owner may, and an owner that
 * was replaced never comes back, so nobody can remove a lock that is alive.
 */
async function takeOver(path: string, mine: string, dead: LockOwner | undefined): Promise<boolean> {
  const taking = `${path}.${dead?.nonce ?? 'broken'}.taking`
  if (!(await linked(mine, taking))) {
    const age = await stat(taking).then(({ ctimeMs }) => Date.now() - ctimeMs, () => 0)
    if (age > tornAfterMs) await rm(taking, { force: true })
    return false
  }
  try {
    const now = await readOwner(path)
    if (now?.nonce !== dead?.nonce) return false
    await rename(taking, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || isPassing(error)) return false
    throw error
  } finally {
    await rm(taking, { force: true })
  }
}

function lockOf(path: string, self: LockOwner, crashed: LockOwner | undefined): Lock {
  const isOurs = async (): Promise<boolean> => {
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? '' : Promise.reject(error)))
    return ownerIn(text)?.nonce === self.nonce
  }
  return {
    crashed,
    isOurs,
    async release() {
      if (await isOurs().catch(() => false)) await rm(path, { force: true })
    },
  }
}
