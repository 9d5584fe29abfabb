/** What the commands about clients stand on: this machine as clients see it, the journal, the store, our own config's place. */
import { scopes, type Client, type ClientId, type Scope, type Surroundings } from '../clients/client.ts'
import { surroundingsOf } from '../clients/folders.ts'
import { newConfigFile } from '../clients/import.ts'
import { Journal } from '../clients/journal.ts'
import { launchOf } from '../clients/launch.ts'
import { clientOf, clients } from '../clients/list.ts'
import { findConfig } from '../config/find.ts'
import { resolvePath } from '../config/paths.ts'
import { places } from '../config/places.ts'
import { isPlainValue, isTokenShaped, looksSecret } from '../config/secrets.ts'
import { isRaw } from '../config/spellings.ts'
import { openCredentials, type Credentials } from '../credentials/store.ts'
import { McpError } from '../gateway/errors.ts'
import type { Context } from './command.ts'
import { nearest } from './nearest.ts'
import { questioner, type Questioner } from './question.ts'

export interface Machine {
  readonly on: Surroundings
  readonly journal: Journal
  readonly store: Credentials
  /** Our own config, absolute; need not be there. */
  readonly config: string
  /** Whether a word is needed to find it. */
  readonly isNamed: boolean
}

export function machineOf({ io, globals }: Context): Machine {
  const folders = places(io.env)
  const named = globals.config ?? (io.env['MCP_PROXY_CONFIG'] || undefined)
  return {
    on: surroundingsOf(io),
    journal: new Journal(folders.state),
    store: openCredentials(folders.credentials),
    config: named === undefined ? usualConfig(io, folders.config) : resolvePath(named, io.cwd),
    isNamed: named !== undefined,
  }
}

function usualConfig(io: Context['io'], folder: string): string {
  try {
    return findConfig({ env: io.env, cwd: io.cwd }).file
  } catch (error) {
    if (error instanceof McpError && error.code === 'CONFIG_NOT_FOUND') return newConfigFile(folder)
    throw error
  }
}

/** Our entry for a client, as it would be written now. */
export const launchFor = (client: ClientId, { on, config, isNamed }: Machine, { io }: Context) =>
  launchOf(client, { on, node: process.execPath, script: io.script, config: isNamed ? config : undefined })

/** The one line that a script reads. */
export const writeJson = (value: object, { io, redactor }: Context): void =>
  void io.stdout.write(`${redactor.scrub(JSON.stringify(value))}\n`)

/** Throws USAGE with what was probably meant. */
export function clientNamed(text: string): Client {
  const known = clients.map(({ id }) => id)
  const id = known.find(one => one === text.toLowerCase())
  if (id) return clientOf(id)
  const close = nearest(text, known)
  throw new McpError('USAGE', `no client is called ${text}`, {
    hint: close.length > 0 ? `did you mean ${close.join(' or ')}?` : `known are ${known.join(', ')}`,
  })
}

export function scopeNamed(text: string): Scope {
  const scope = scopes.find(one => one === text)
  if (scope) return scope
  throw new McpError('USAGE', `--scope ${text}: a scope is ${scopes.join(', ')}`)
}

/**
 * The person's yes to what was shown. Without a terminal there is nobody to ask: throws USAGE unless `yes`. Throws CANCELLED
 * when the answer is no. `asked` is somebody who was asked before, and typed ahead perhaps; it is closed.
 */
export async function consent(question: string, yes: boolean, { io }: Context, asked?: Questioner): Promise<void> {
  if (yes) return
  requireTerminal(io)
  const person = asked ?? questioner(io)
  try {
    if ((await person.yes(question, true)) !== true) throw new McpError('CANCELLED', 'nothing was changed')
  } finally {
    person.close()
  }
}

export function requireTerminal(io: Context['io']): void {
  if (io.stdin.isTTY !== true)
    throw new McpError('USAGE', 'there is no terminal to ask on', {
      hint: 'add --yes to go ahead, or --dry-run to see what would change',
    })
}

/** Teaches the redactor what a client's file has written out: a diff shows lines beside the changed ones. */
export function hideSecrets(document: unknown, { redactor }: Context): void {
  const note = (text: string, key: string): void => {
    // A reference is no secret, and what is left of `Bearer ${X}` is none either.
    const literal = text.replace(/\$?\{[^}]*\}/g, '')
    if (isTokenShaped(literal) || (looksSecret(key) && !isPlainValue(literal))) redactor.add([text])
  }
  const walk = (node: unknown, key: string): void => {
    if (Array.isArray(node)) node.forEach((item, index) => walk(item, isFlag(node[index - 1]) ? String(node[index - 1]) : key))
    else if (isRaw(node)) for (const [name, value] of Object.entries(node)) walk(value, name)
    else if (typeof node === 'string') {
      const [, flag, value] = /^(-{0,2}[\w-]+)[=:] *(.+)$/s.exec(node) ?? []
      if (flag !== undefined && value !== undefined) note(value, flag)
      note(node, key)
    }
  }
  walk(document, '')
}

const isFlag = (word: unknown): boolean => typeof word === 'string' && /^--?[\w-]+$/.test(word)
