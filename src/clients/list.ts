/** All clients, in the order they are shown. */
import { claudeCode, claudeDesktop } from './claude.ts'
import type { Client, ClientId, Place, Scope, Surroundings } from './client.ts'
import { cline, cursor, vscode, vscodeInsiders, windsurf, zed } from './editors.ts'
import { codex, gemini, goose, lmstudio, opencode } from './terminals.ts'

export const clients: readonly Client[] = [
  claudeDesktop,
  claudeCode,
  cursor,
  vscode,
  vscodeInsiders,
  windsurf,
  zed,
  codex,
  gemini,
  lmstudio,
  cline,
  goose,
  opencode,
]

export const clientOf = (id: ClientId): Client => clients.find(client => client.id === id) as Client

/** Whether anything of it is on this machine. */
export const isInstalled = (client: Client, on: Surroundings): boolean => client.traces(on).some(path => on.exists(path))

/** Words people use for the same thing: what is a project to some is a workspace to others. */
const meant = (scope: Scope): readonly Scope[] =>
  scope === 'project' ? ['project', 'workspace'] : scope === 'workspace' ? ['workspace', 'project'] : [scope]

/** The place of a scope that is written; undefined = this client has no such scope. */
export function writtenPlace(client: Client, scope: Scope, on: Surroundings): Place | undefined {
  const places = client.places(on).filter(({ readOnly }) => readOnly !== true)
  for (const word of meant(scope)) {
    const place = places.find(candidate => candidate.scope === word)
    if (place) return place
  }
  return undefined
}

export const inScope = (place: Place, scope: Scope | undefined): boolean =>
  scope === undefined || meant(scope).includes(place.scope)

/** Scopes a client can be installed into. */
export const scopesOf = (client: Client, on: Surroundings): Scope[] =>
  client
    .places(on)
    .filter(({ readOnly }) => readOnly !== true)
    .map(({ scope }) => scope)
