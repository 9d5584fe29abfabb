/**
 * From what clients have to one plan: servers added to our own config, secrets put into the store. Reads the config as it is;
 * makes no change itself.
 */
import { basename, dirname, join } from 'node:path'
import { inspectConfig } from '../config/load.ts'
import type { Raw } from '../config/spellings.ts'
import type { Credentials } from '../credentials/store.ts'
import { McpError } from '../gateway/errors.ts'
import type { Format, Scope, Surroundings } from './client.ts'
import { convert, isRefused, type Converted, type Found, type Refused } from './convert.ts'
import { look } from './disk.ts'
import { changeDocument } from './document.ts'
import { isOursIn } from './install.ts'
import type { FileChange } from './journal.ts'
import { inScope } from './list.ts'
import { merge, type Merged } from './merge.ts'
import type { Edit } from './operation.ts'
import type { ClientState } from './survey.ts'

/** Servers of clients, ours left out. */
export function serversOf(states: readonly ClientState[], scope: Scope | undefined, noted: readonly FileChange[]): Found[] {
  return states.flatMap(({ client, places }) =>
    places
      .filter(({ place }) => inScope(place, scope))
      .flatMap(({ place, servers }) =>
        [...servers]
          .filter(([name, entry]) => !isOursIn(name, entry, place.file, noted))
          .map(([name, entry]) => ({ client, place, name, entry })),
      ),
  )
}

export interface ImportPlan extends Merged {
  readonly refused: readonly Refused[]
  /** undefined: there is nothing to add. */
  readonly edit: Edit | undefined
}

export interface OwnConfig {
  /** Absolute; need not be there yet. */
  readonly file: string
  readonly env: Surroundings['env']
  readonly store: Credentials
}

export function convertAll(found: readonly Found[], on: Surroundings): { converted: Converted[]; refused: Refused[] } {
  const all = found.map(one => convert(one, on)).filter(one => one !== undefined)
  return { converted: all.filter((one): one is Converted => !isRefused(one)), refused: all.filter(isRefused) }
}

/** Throws CONFIG_INVALID when our own config has errors: nothing is added to what nobody can read. */
export async function planImport(found: readonly Found[], on: Surroundings, own: OwnConfig): Promise<ImportPlan> {
  const { converted, refused } = convertAll(found, on)
  const snapshot = await look(own.file, dirname(own.file))
  const present = snapshot.bytes === undefined || snapshot.bytes.toString().trim() === '' ? empty : await presentIn(own)
  const { store } = own
  const merged = merge(converted, { ...present, credential: name => store.get(name)?.reveal(), credentialNames: store.names() })
  if (merged.additions.length === 0) return { ...merged, refused, edit: undefined }
  const changes = merged.additions.map(({ alias, server }) => ({ at: [...present.at, alias], value: server }))
  return {
    ...merged,
    refused,
    edit: { snapshot, after: await changeDocument(snapshot.bytes, formatOf(own.file), own.file, changes) },
  }
}

const empty = { servers: new Map<string, Raw>(), separator: '__', at: ['mcpServers'] }

async function presentIn({ file, env, store }: OwnConfig): Promise<typeof empty> {
  const { loaded, problems } = await inspectConfig(file, { env, credential: name => store.get(name)?.reveal() })
  // An empty list of servers is an error of a config that is to run, and no obstacle here.
  const errors = problems.filter(({ severity, code }) => severity === 'error' && code !== 'NO_SERVERS')
  if (!loaded) {
    if (errors.length === 0) return empty
    throw new McpError('CONFIG_INVALID', `${file} has errors, so nothing is added to it`, {
      problems: errors,
      hint: 'mend it first; "mcp-proxy validate" shows everything',
    })
  }
  const servers = new Map([...loaded.trail.backends].map(([alias, { written }]) => [alias, written]))
  return { servers, separator: loaded.config.names.separator, at: empty.at }
}

const formatOf = (file: string): Format => (/\.ya?ml$/i.test(basename(file)) ? 'yaml' : 'json')

/** The config file that is made when there is none. */
export const newConfigFile = (folder: string): string => join(folder, 'config.json')
