/**
 * What an MCP client is to us: where its config files are, under which key its servers stand, how an entry of ours looks in
 * it, and how it writes variables. Types only; the clients themselves are rows in claude.ts, editors.ts and terminals.ts.
 */
import type { Path } from '../config/problems.ts'
import type { Raw } from '../config/spellings.ts'

export const clientIds = [
  'claude-desktop',
  'claude-code',
  'cursor',
  'vscode',
  'vscode-insiders',
  'windsurf',
  'zed',
  'codex',
  'gemini',
  'lmstudio',
  'cline',
  'goose',
  'opencode',
] as const

export type ClientId = (typeof clientIds)[number]

export const scopes = ['user', 'project', 'local', 'workspace'] as const

export type Scope = (typeof scopes)[number]

export type Format = 'json' | 'toml' | 'yaml'

/** The machine as clients see it. */
export interface Surroundings {
  readonly platform: NodeJS.Platform
  readonly env: Readonly<Record<string, string | undefined>>
  /** Absolute. */
  readonly home: string
  /** The project that `project`, `local` and `workspace` mean; absolute. */
  readonly cwd: string
  exists(path: string): boolean
}

/** One map of servers in one file. */
export interface Place {
  readonly scope: Scope
  /** Absolute. */
  readonly file: string
  readonly format: Format
  /** Keys that lead to the map of name → server. */
  readonly at: Path
  /** The same in another layout of the file; counts when the file has it. */
  readonly instead?: Path | undefined
  /** Folder its servers are started in, and that relative paths start from; undefined = the client decides. */
  readonly folder?: string | undefined
  /** Read on import, never written. */
  readonly readOnly?: boolean | undefined
  /** More maps of servers in the same file, known only once it is read. */
  others?(document: unknown): readonly Place[]
}

/** How to start us. `command` is absolute. */
export interface Launch {
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

export interface Client {
  readonly id: ClientId
  /** Its name as people know it. */
  readonly title: string
  /** Paths any of which is there when the client is installed. */
  traces(surroundings: Surroundings): readonly string[]
  /** Where its servers stand; of each scope the first that is not read-only is the one we write. */
  places(surroundings: Surroundings): readonly Place[]
  readonly notation: Notation
  stdio(launch: Launch, name: string): Raw
  /** undefined: it cannot reach a remote server through its file. */
  readonly http: ((url: string, headers: Readonly<Record<string, string>>, name: string) => Raw) | undefined
  /** An entry before it is read as a server; undefined = it is none (a built-in extension). */
  tidy?(entry: Raw): Raw | undefined
  /** Why this name cannot be used; undefined = it can. */
  refuseName?(name: string): string | undefined
  /** What makes it notice a change. */
  readonly afterwards: string
}

export interface NotationContext {
  readonly surroundings: Surroundings
  readonly folder: string | undefined
}

/** What a client puts in place of a text of its config. */
export interface Reading {
  /** In our notation, literals escaped. */
  readonly text: string
  /** Something was substituted: the text is no literal. */
  readonly refers: boolean
  /** Values the client asked its user for: name and what it said. */
  readonly inputs: readonly string[]
  /** Why it cannot be said in our notation. */
  readonly trouble?: string | undefined
}

export type Notation = (text: string, context: NotationContext) => Reading
