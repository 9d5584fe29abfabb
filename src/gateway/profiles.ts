/**
 * What clients are known to make of what they are given: the limits they document or were measured to have. A row changes
 * nothing by itself; fit.ts applies it. Who is in no row gets everything as it is.
 */

/** Left out: no limit known. */
export interface ClientLimits {
  /** Characters a tool's name may have together with what the client puts before it. */
  readonly nameLength?: number | undefined
  /** Tools it takes; those beyond are dropped by it, or make it refuse all. */
  readonly tools?: number | undefined
  /** Characters of a tool's description it reads. */
  readonly description?: number | undefined
  /** Bytes of a message after which it closes the connection or loses the answer. */
  readonly messageBytes?: number | undefined
  /** It reads schemas only without references. */
  readonly plainSchemas?: boolean | undefined
  /** It finds tools by a search of its own, so many of them cost it little. */
  readonly searches?: boolean | undefined
}

export interface KnownClient extends ClientLimits {
  /** What `--client` and `install` call it. */
  readonly id: string
  readonly title: string
  /** What it calls itself, in lower case; more may follow after a sign that is no letter. */
  readonly names: readonly string[]
  /** What it puts before a tool's name, given what it calls us. */
  readonly prefix: (server: string) => string
  /** Started by the desktop, so that what it starts sees the desktop's bare PATH. */
  readonly desktop: boolean
}

const bare = (): string => ''
const MiB = 1024 * 1024

export const knownClients: readonly KnownClient[] = [
  { id: 'claude-desktop', title: 'Claude Desktop', names: ['claude-ai'], prefix: bare, desktop: true, nameLength: 64 },
  {
    id: 'claude-code', title: 'Claude Code', names: ['claude-code'], desktop: false,
    prefix: server => `mcp__${server}__`, nameLength: 128, description: 2048, messageBytes: 8 * MiB, searches: true,
  },
  {
    id: 'cursor', title: 'Cursor', names: ['cursor-vscode', 'cursor'], desktop: true,
    prefix: server => `${server}:`, nameLength: 60, tools: 80,
  },
  {
    id: 'vscode', title: 'VS Code', names: ['visual studio code'], desktop: true,
    prefix: server => `mcp_${server.slice(0, 13)}_`, nameLength: 64,
  },
  {
    id: 'vscode-insiders', title: 'VS Code Insiders', names: ['visual studio code - insiders'], desktop: true,
    prefix: server => `mcp_${server.slice(0, 13)}_`, nameLength: 64,
  },
  { id: 'windsurf', title: 'Windsurf', names: ['windsurf'], prefix: bare, desktop: true, tools: 100 },
  { id: 'zed', title: 'Zed', names: ['zed'], prefix: bare, desktop: true },
  { id: 'codex', title: 'Codex', names: ['codex-mcp-client', 'codex'], prefix: bare, desktop: false, messageBytes: 16 * MiB },
  {
    id: 'gemini', title: 'Gemini CLI', names: ['gemini-cli-mcp-client', 'gemini-cli'], desktop: false,
    prefix: server => `mcp_${server}_`, nameLength: 63, plainSchemas: true,
  },
  { id: 'lmstudio', title: 'LM Studio', names: ['lm studio', 'lmstudio'], prefix: bare, desktop: true },
  { id: 'cline', title: 'Cline', names: ['cline'], prefix: bare, desktop: true },
  { id: 'goose', title: 'goose', names: ['goose'], prefix: bare, desktop: false },
  { id: 'opencode', title: 'OpenCode', names: ['opencode'], prefix: bare, desktop: false },
]

/** The client of this id, or that calls itself so; the longest of its names that fits counts. */
export function clientCalled(name: string): KnownClient | undefined {
  const plain = name.slice(0, 200).trim().toLowerCase()
  let best: KnownClient | undefined
  let length = 0
  for (const client of knownClients) {
    if (client.id === plain) return client
    for (const own of client.names)
      if (own.length > length && plain.startsWith(own) && !/[a-z]/.test(plain.charAt(own.length))) [best, length] = [client, own.length]
  }
  return best
}

/** The limits of one client as `fit` needs them. Equal objects mean equal lists: keep them. */
export interface Fitting extends ClientLimits {
  readonly id: string
  readonly title: string
  /** Of what the client puts before a name. */
  readonly prefixLength: number
}

export const fittingOf = (client: KnownClient, server: string, own: ClientLimits = {}): Fitting => {
  const { id, title, prefix, nameLength, tools, description, messageBytes, plainSchemas, searches } = client
  return {
    id, title, prefixLength: prefix(server).length, nameLength, tools, description, messageBytes, plainSchemas, searches, ...own,
  }
}
