/**
 * `template`: files to start from, for whatever starts and watches programs, and for clients whose config is kept elsewhere
 * than on this machine. Prints only; writes nothing.
 */
import { readFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Client } from '../clients/client.ts'
import { changeDocument } from '../clients/document.ts'
import { clients, writtenPlace } from '../clients/list.ts'
import { McpError } from '../gateway/errors.ts'
import { styleFor, type Context, type Define } from './command.ts'
import { machineOf, writeJson } from './machine.ts'
import { nearest } from './nearest.ts'
import { exitCodes } from './report.ts'
import { tableFor } from './table.ts'

interface Template {
  readonly name: string
  readonly about: string
  /** Below the root of the package. */
  readonly file: string
}

export const templates: readonly Template[] = [
  { name: 'systemd', about: 'unit for a machine: in /etc/systemd/system/', file: 'templates/systemd/mcp-proxy.service' },
  { name: 'systemd-socket', about: 'its socket: in /etc/systemd/system/', file: 'templates/systemd/mcp-proxy.socket' },
  { name: 'systemd-user', about: 'unit for a person: in ~/.config/systemd/user/', file: 'templates/systemd/mcp-proxy-user.service' },
  { name: 'launchd', about: 'the same on macOS: in ~/Library/LaunchAgents/', file: 'templates/launchd/mcp-proxy.plist' },
  { name: 'dockerfile', about: 'container image', file: 'Dockerfile' },
  { name: 'compose', about: 'compose.yaml for that image', file: 'compose.yaml' },
  { name: 'kubernetes', about: 'manifests for that image', file: 'templates/kubernetes.yaml' },
  { name: 'nginx', about: 'nginx in front, with TLS', file: 'templates/nginx.conf' },
  { name: 'caddy', about: 'Caddy in front, with TLS', file: 'templates/Caddyfile' },
]

const forClients = 'client-'
const exampleUrl = 'http://127.0.0.1:3050/mcp'

export const define: Define = (command, start) => {
  command
    .command('list')
    .description('The templates there are.')
    .action(() => start(list))
  command
    .command('show')
    .description('Print one.')
    .argument('<name>', 'as "template list" shows it')
    .option('--http <url>', `for a client: reach "serve --http" at this address, such as ${exampleUrl}`)
    .action((name: string, { http }: { http?: string }) => start(context => show(name, http, context)))
}

async function list(context: Context): Promise<number> {
  const { io, globals } = context
  const all = [
    ...templates.map(({ name, about }) => ({ name, about })),
    ...clients.map(({ id, title }) => ({ name: forClients + id, about: `entry for ${title}` })),
  ]
  if (globals.json) writeJson({ templates: all }, context)
  else {
    const rows = all.map(({ name, about }) => [name, about])
    io.stdout.write(`${tableFor(io.stdout, ['NAME', 'WHAT'], rows, styleFor(context, io.stdout).bold)}\n`)
  }
  return exitCodes.done
}

async function show(name: string, http: string | undefined, context: Context): Promise<number> {
  const client = clients.find(({ id }) => name === forClients + id)
  if (http !== undefined && !client) throw new McpError('USAGE', '--http belongs to the templates for clients')
  context.io.stdout.write(client ? await entryOf(client, http, context) : await textOf(name))
  return exitCodes.done
}

async function textOf(name: string): Promise<string> {
  const template = templates.find(candidate => candidate.name === name)
  if (template) return readFile(join(packageRoot(), template.file), 'utf8')
  const meant = nearest(name, [...templates.map(one => one.name), ...clients.map(({ id }) => forClients + id)])
  throw new McpError('USAGE', `there is no template ${name}`, {
    hint: meant[0] === undefined ? 'mcp-proxy template list shows all' : `did you mean "${meant[0]}"?`,
  })
}

/** The client's file with nothing in it but the entry that reaches us. */
async function entryOf(client: Client, http: string | undefined, context: Context): Promise<string> {
  const { on } = machineOf(context)
  const place = writtenPlace(client, 'user', on)
  if (!place) throw new McpError('INTERNAL', `${client.title} has no file of its own`)
  if (http !== undefined && !client.http)
    throw new McpError('USAGE', `${client.title} reaches no remote server through its file`, {
      hint: `leave --http out, and write connect ${http} instead of run into it`,
    })
  // On Windows npx is a batch file, which not every client starts by itself.
  const [command, ...words] = on.platform === 'win32' ? (['cmd', '/c', 'npx'] as const) : (['npx'] as const)
  const launch = { command, args: [...words, '-y', 'mcp-proxy-server', 'run', '--client', client.id], env: {} }
  const headers = { Authorization: 'Bearer THE-TOKEN' }
  const value = http === undefined ? client.stdio(launch, 'hub') : client.http?.(http, headers, 'hub')
  const bytes = await changeDocument(undefined, place.format, place.file, [{ at: [...place.at, 'hub'], value }])
  return bytes.toString().replace(/\n*$/, '\n')
}

/** Where package.json stands: two folders above a source, one above what was built. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder)
  return folder
}
