/**
 * Changing files so that it can be taken back: backup, note in the journal, then the change itself; and the way back. What
 * stood before our first change is restored to the byte, unless somebody else has changed the file since.
 */
import { dirname } from 'node:path'
import type { Credentials } from '../credentials/store.ts'
import { McpError } from '../gateway/errors.ts'
import type { ClientId, Scope } from './client.ts'
import { backUp, digest, look, makeFolder, removeFile, removeFolders, replace, type Snapshot } from './disk.ts'
import type { FileChange, Journal, Operation } from './journal.ts'

/** A change that is decided and not yet made. */
export interface Edit {
  readonly snapshot: Snapshot
  readonly after: Buffer
  readonly client?: ClientId | undefined
  readonly scope?: Scope | undefined
  readonly name?: string | undefined
  readonly url?: string | undefined
  /** Mode of the file if it is new. */
  readonly fresh?: number | undefined
}

export interface Plan {
  readonly command: string
  readonly edits: readonly Edit[]
  /** Names and values to store. */
  readonly credentials: ReadonlyMap<string, string>
}

/** Does all of it, or puts back what was done. */
export async function perform(plan: Plan, journal: Journal, store: Credentials): Promise<void> {
  const edits = plan.edits.filter(({ snapshot, after }) => !snapshot.bytes?.equals(after))
  if (edits.length === 0 && plan.credentials.size === 0) return
  const changes: FileChange[] = []
  const operation = (): Operation => ({
    at: new Date().toISOString(),
    command: plan.command,
    changes,
    credentials: [...plan.credentials.keys()],
    ...(madeCredentials ? { madeCredentials } : {}),
  })
  const madeCredentials = plan.credentials.size > 0 && store.names().length === 0
  try {
    for (const { snapshot, after, client, scope, name, url } of edits) {
      const made = await makeFolder(snapshot.real)
      const backup = snapshot.bytes === undefined ? undefined : await backUp(snapshot)
      const { file, real, mode, bytes } = snapshot
      changes.push({ file, real, client, scope, name, url, before: digest(bytes), after: digest(after), mode, backup, made })
    }
    const noted = operation()
    await journal.change(operations => [...operations, noted])
    for (const [name, value] of plan.credentials) await store.set(name, value)
    for (const { snapshot, after, fresh } of edits) await replace(snapshot, after, fresh)
  } catch (error) {
    await rollBack(operation(), journal, store)
    throw error
  }
}

/** Restores what we have written; what somebody else wrote in between is theirs. */
async function rollBack(operation: Operation, journal: Journal, store: Credentials): Promise<void> {
  const plan = await planUndo([operation], () => true)
  const files = plan.files.map(one =>
    one.obstacle === undefined ? one : { ...one, before: one.snapshot.bytes, obstacle: undefined },
  )
  await takeBack({ ...plan, files }, { journal, store, force: false })
}

/** What taking back means for one file. */
export interface Undo {
  readonly file: string
  /** As it is now. */
  readonly snapshot: Snapshot
  /** As it was before our first change; undefined = there was no file. */
  readonly before: Buffer | undefined
  /** Why it must not be done without force. */
  readonly obstacle: string | undefined
  readonly changes: readonly FileChange[]
}

export interface UndoPlan {
  readonly files: readonly Undo[]
  readonly operations: readonly Operation[]
  readonly credentials: readonly string[]
}

/** Takes back the chosen changes of these operations; credentials go when an operation goes whole. */
export async function planUndo(operations: readonly Operation[], isChosen: (change: FileChange) => boolean): Promise<UndoPlan> {
  const chains = new Map<string, FileChange[]>()
  for (const change of operations.flatMap(({ changes }) => changes.filter(isChosen)))
    chains.set(change.real, [...(chains.get(change.real) ?? []), change])
  const files = await Promise.all([...chains.values()].map(undoOf))
  const whole = operations.filter(({ changes }) => changes.every(isChosen))
  return { files, operations, credentials: whole.flatMap(({ credentials }) => credentials) }
}

async function undoOf(changes: readonly FileChange[]): Promise<Undo> {
  const [first] = changes as [FileChange]
  const { file, real } = first
  const snapshot = { ...(await look(real, dirname(real))), file }
  const now = digest(snapshot.bytes)
  // Already as it was: only what lies beside it has to go.
  if (now === first.before) return { file, snapshot, before: snapshot.bytes, obstacle: undefined, changes }
  const before = first.backup === undefined ? undefined : (await look(first.backup, dirname(real))).bytes
  if (digest(before) !== first.before)
    throw new McpError('CLIENT_CONFIG_CHANGED', `the backup of ${file} is gone or was changed`, {
      hint: 'mcp-proxy uninstall removes our entry without it',
    })
  const isOurs = changes.some(({ after }) => after === now)
  return { file, snapshot, before, obstacle: isOurs ? undefined : `${file} was changed since by somebody else`, changes }
}

export interface TakeBack {
  readonly journal: Journal
  readonly store: Credentials
  /** Restore also what somebody else has changed since. */
  readonly force: boolean
}

/** Restores, then removes backups, folders and notes. Throws CLIENT_CONFIG_CHANGED before anything is touched. */
export async function takeBack({ files, operations, credentials }: UndoPlan, { journal, store, force }: TakeBack): Promise<void> {
  const obstacle = files.find(({ obstacle }) => obstacle !== undefined)
  if (obstacle && !force)
    throw new McpError('CLIENT_CONFIG_CHANGED', obstacle.obstacle as string, {
      hint: 'nothing was changed; --force restores it all the same, "mcp-proxy uninstall" removes only our entry',
    })
  for (const { snapshot, before, changes } of files)
    if (digest(before) !== digest(snapshot.bytes)) await replace(snapshot, before, changes[0]?.mode)
  for (const { changes } of files) for (const { backup } of changes) if (backup !== undefined) await removeFile(backup)
  for (const name of credentials) await store.remove(name)
  if (operations.some(({ madeCredentials }) => madeCredentials) && credentials.length > 0 && store.names().length === 0)
    await removeFile(store.file)

  const done = new Set(files.flatMap(({ changes }) => changes.map(keyOf)))
  const gone = new Set(credentials)
  await journal.change(noted =>
    noted
      .map(operation => ({
        ...operation,
        changes: operation.changes.filter(change => !done.has(keyOf(change))),
        credentials: operation.credentials.filter(name => !gone.has(name)),
      }))
      .filter(({ changes, credentials: left }) => changes.length > 0 || left.length > 0),
  )
  for (const { changes } of files) await removeFolders([...new Set(changes.flatMap(({ made }) => made))])
}

const keyOf = ({ real, before, after, backup }: FileChange): string => JSON.stringify([real, before, after, backup])
