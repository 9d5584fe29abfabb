/**
 * The catalogue on disk: what each backend offered when it last ran, so that a start needs none of them. One file per
 * backend: read in one go at the start, written whole, believed only if its digest is right. It is a cache: every failure
 * here costs a start of a server and nothing else.
 */
import { hash, randomBytes } from 'node:crypto'
import { mkdir, open, readdir, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { readOwn } from '../config/own-file.ts'
import { renameOver } from '../credentials/rename.ts'
import type { JsonObject, Offer } from '../gateway/contract.ts'
import type { Log } from '../gateway/log.ts'
import type { Stored } from '../gateway/policy.ts'

/** Everything that decides what a server offers. Secrets in it go into a digest and nowhere else. */
export interface Identity {
  /** Command, arguments, environment, folder; or URL, type, headers: as configured and resolved. */
  readonly endpoints: readonly object[]
  /** Whose offer it is, where that may differ between principals. */
  readonly scope: string
}

/** The place of one backend in the store. */
export interface Shelf extends Stored {
  /** Something small to be kept beside the offer, as last given or loaded; filled in by `load`. */
  note: JsonObject | undefined
}

export interface CatalogueStore {
  shelf(identity: Identity): Shelf
  /** Resolves when all that was saved is on disk, or has failed to be. */
  settled(): Promise<void>
}

export interface CatalogueStoreOptions {
  /** Absolute; made when the first offer is saved. */
  readonly dir: string
  /** Of this program: another one may read offers differently. */
  readonly version: string
  readonly log: Log
  readonly limits?: Partial<Limits> | undefined
}

interface Limits {
  readonly files: number
  /** Of one file. */
  readonly bytes: number
  readonly totalBytes: number
}

const defaults: Limits = { files: 512, bytes: 16 * 1024 * 1024, totalBytes: 256 * 1024 * 1024 }
const suffix = '.catalogue'
const format = 'mcp-proxy catalogue 1'
/** A clock may be off a little; a file from further in the future was not written at the time it says. */
const clockSkewMs = 60_000
/** An unfinished write this old was never finished. */
const abandonedMs = 3_600_000

export function createCatalogueStore({ dir, version, log, limits: own }: CatalogueStoreOptions): CatalogueStore {
  const limits: Limits = { ...defaults, ...own }
  const writing = new Set<Promise<void>>()
  let complained = false

  const complain = (error: unknown): void => {
    if (complained) return
    complained = true
    log.warn({ dir, code: (error as NodeJS.ErrnoException).code }, `the catalogue cannot be kept in ${dir}; starts will be slower`)
  }

  return {
    shelf: identity => {
      const key = keyOf(identity, version)
      return new FileShelf(join(dir, key + suffix), key, limits.bytes, work => {
        const done = work()
          .then(made => (made ? prune(dir, limits) : undefined))
          .catch(complain)
          .finally(() => writing.delete(done))
        writing.add(done)
        return done
      })
    },
    settled: async () => {
      while (writing.size > 0) await Promise.all(writing)
    },
  }
}

class FileShelf implements Shelf {
  note: JsonObject | undefined
  private readonly file: string
  private readonly key: string
  private readonly limit: number
  /** Runs work that answers whether it made a new file; never rejects. */
  private readonly run: (work: () => Promise<boolean>) => Promise<void>
  /** Digest of what is on disk, as far as we know. */
  private written: string | undefined
  private next: string | undefined
  private busy = false

  constructor(file: string, key: string, limit: number, run: (work: () => Promise<boolean>) => Promise<void>) {
    this.file = file
    this.key = key
    this.limit = limit
    this.run = run
  }

  get apart(): boolean | undefined {
    const apart = this.note?.['apart']
    return typeof apart === 'boolean' ? apart : undefined
  }

  set apart(apart: boolean | undefined) {
    this.note = { ...this.note, apart }
  }

  load(): { offer: Offer; ageMs: number } | undefined {
    const found = readOwn(this.file, this.limit)
    const end = found ? found.bytes.indexOf(10) : -1
    if (!found || end < 0) return undefined
    const digest = hash('sha256', found.bytes.subarray(end + 1))
    if (found.bytes.toString('latin1', 0, end) !== `${format} ${digest}`) return undefined
    try {
      const { key, offer, note } = JSON.parse(found.bytes.toString('utf8', end + 1)) as JsonObject
      if (key !== this.key || !isOffer(offer)) return undefined
      this.written = digest
      this.note ??= note as JsonObject | undefined
      const age = Date.now() - found.mtimeMs
      return { offer, ageMs: age < -clockSkewMs ? Infinity : Math.max(0, age) }
    } catch {
      return undefined
    }
  }

  save(offer: Offer): void {
    const text = JSON.stringify({ key: this.key, offer, note: this.note })
    if (Buffer.byteLength(text) + format.length + 66 > this.limit) return
    this.next = text
    if (this.busy) return
    this.busy = true
    void this.run(() => this.write().finally(() => (this.busy = false)))
  }

  /** Writes the latest; what came while it wrote as well. */
  private async write(): Promise<boolean> {
    let made = false
    while (this.next !== undefined) {
      const text = this.next
      this.next = undefined
      const digest = hash('sha256', text)
      if (digest === this.written && (await touch(this.file))) continue
      made ||= this.written === undefined
      await replace(this.file, `${format} ${digest}\n${text}`)
      this.written = digest
    }
    return made
  }
}

function keyOf({ endpoints, scope }: Identity, version: string): string {
  return hash('sha256', JSON.stringify([version, scope, endpoints], sorted)).slice(0, 40)
}

/** The order in which a file names its keys is not a difference. */
function sorted(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function isOffer(value: unknown): value is Offer {
  const isObject = (item: unknown): item is JsonObject => typeof item === 'object' && item !== null && !Array.isArray(item)
  if (!isObject(value) || !isObject(value['description']) || !isObject(value['description']['capabilities'])) return false
  return ['tools', 'prompts', 'resources', 'templates'].every(list => {
    const items = value[list]
    return Array.isArray(items) && items.every(isObject)
  })
}

async function touch(file: string): Promise<boolean> {
  try {
    const now = new Date()
    await utimes(file, now, now)
    return true
  } catch {
    return false
  }
}

/** Readers see the old file or the new one, never a part. */
async function replace(file: string, text: string): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString('hex')}.tmp`
  await mkdir(join(file, '..'), { recursive: true, mode: 0o700 })
  try {
    const handle = await open(draft, 'wx', 0o600)
    try {
      await handle.writeFile(text)
    } finally {
      await handle.close()
    }
    await renameOver(draft, file)
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {})
    throw error
  }
}

/** Keeps the folder within its limits; what was confirmed longest ago goes first. */
async function prune(dir: string, { files, totalBytes }: Limits): Promise<void> {
  const now = Date.now()
  const kept: { file: string; size: number; at: number }[] = []
  for (const name of await readdir(dir)) {
    const file = join(dir, name)
    if (!name.endsWith(suffix) && !(name.includes(suffix) && name.endsWith('.tmp'))) continue
    const found = await stat(file).catch(() => undefined)
    if (!found) continue
    if (name.endsWith(suffix)) kept.push({ file, size: found.size, at: found.mtimeMs })
    else if (now - found.mtimeMs > abandonedMs) await rm(file, { force: true })
  }
  kept.sort((a, b) => b.at - a.at)
  let bytes = 0
  for (const [index, { file, size }] of kept.entries()) {
    bytes += size
    if (index >= files || bytes > totalBytes) await rm(file, { force: true })
  }
}
