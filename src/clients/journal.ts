/**
 * What we changed in other people's files, so that it can be taken back: who, where, the digest before and after, where the
 * backup lies. One private file in the state folder. Knows no format and no client.
 */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isRaw } from '../config/spellings.ts'
import { changeFile } from '../credentials/write.ts'
import { McpError } from '../gateway/errors.ts'
import type { ClientId, Scope } from './client.ts'
import { removeFile, removeFolders } from './disk.ts'

/** One file, once. Digests are SHA-256 in hex; null = there was no file. */
export interface FileChange {
  readonly file: string
  readonly real: string
  /** undefined: our own config. */
  readonly client?: ClientId | undefined
  readonly scope?: Scope | undefined
  /** Name of the entry that is ours in it. */
  readonly name?: string | undefined
  /** Address of that entry, when it is a remote one. */
  readonly url?: string | undefined
  readonly before: string | null
  readonly after: string | null
  readonly mode?: number | undefined
  readonly backup?: string | undefined
  /** Folders that were made for it, outermost first. */
  readonly made: readonly string[]
}

export interface Operation {
  /** When, ISO 8601. */
  readonly at: string
  /** As it was typed: `install cursor`. */
  readonly command: string
  readonly changes: readonly FileChange[]
  /** Credentials it stored. */
  readonly credentials: readonly string[]
  /** Whether there was no credentials file before. */
  readonly madeCredentials?: boolean | undefined
}

export class Journal {
  readonly file: string

  constructor(stateFolder: string) {
    this.file = join(stateFolder, 'clients.json')
  }

  /** Oldest first. Throws CLIENT_CONFIG_INVALID when the file is not as we write it. */
  read(): Operation[] {
    let text: string
    try {
      text = readFileSync(this.file, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw broken(this.file, error)
    }
    try {
      const value: unknown = JSON.parse(text)
      const operations = isRaw(value) && value['version'] === 1 ? value['operations'] : undefined
      if (!Array.isArray(operations) || !operations.every(isOperation)) throw new TypeError('another shape')
      return operations
    } catch (error) {
      throw broken(this.file, error)
    }
  }

  /** Changes the list under a lock; an empty one leaves no file. */
  async change(alter: (operations: Operation[]) => Operation[]): Promise<void> {
    let left = 0
    await changeFile(this.file, () => {
      const operations = alter(this.read())
      left = operations.length
      return `${JSON.stringify({ version: 1, operations }, null, 2)}\n`
    })
    if (left > 0) return
    await removeFile(this.file)
    await removeFolders([dirname(this.file)])
  }

  /** Every change of a client's files that still stands, oldest first. */
  changesOf(client: ClientId): FileChange[] {
    return this.read().flatMap(({ changes }) => changes.filter(change => change.client === client))
  }
}

const isOperation = (value: unknown): value is Operation =>
  isRaw(value) &&
  typeof value['command'] === 'string' &&
  Array.isArray(value['credentials']) &&
  Array.isArray(value['changes']) &&
  value['changes'].every(
    change =>
      isRaw(change) && typeof change['real'] === 'string' && typeof change['file'] === 'string' && Array.isArray(change['made']),
  )

const broken = (file: string, cause: unknown): McpError =>
  new McpError('CLIENT_CONFIG_INVALID', `${file} cannot be read, so nothing can be taken back by it`, {
    hint: 'the backups lie beside the clients’ files, named *.mcp-proxy-backup',
    cause,
  })
