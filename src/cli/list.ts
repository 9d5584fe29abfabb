/** `list`: what all servers offer together, under the names clients see. A broken server makes it shorter, not fail. */
import { Argument } from 'commander'
import { never, type Cancellation } from '../gateway/cancellation.ts'
import type { JsonObject } from '../gateway/contract.ts'
import { McpError } from '../gateway/errors.ts'
import { styleFor, type Context, type Define } from './command.ts'
import { probe, withHouse, type Catalog, type Opened } from './house.ts'
import { printable } from './io.ts'
import { exitCodes, hintLines } from './report.ts'
import { tableFor } from './table.ts'

const kinds = ['tools', 'resources', 'templates', 'prompts'] as const
type Kind = (typeof kinds)[number]

export interface ListOptions {
  readonly kind: Kind | undefined
  readonly backend: string | undefined
  /** Takes what is known from earlier; only servers that are not known are started. */
  readonly cached: boolean
}

export const define: Define = (command, start) => {
  command
    .addArgument(new Argument('[kind]', 'only these').choices(kinds))
    .option('--backend <alias>', 'only what this server offers')
    .option('--cached', 'take what is known from earlier instead of asking every server')
    .action((kind: Kind | undefined, { backend, cached }: { backend?: string; cached?: boolean }) =>
      start(context => withHouse(context, (opened, cancellation) => list({ kind, backend, cached: cached === true }, opened, context, cancellation))),
    )
}

type Item = { readonly backend: string; readonly own: string; readonly item: JsonObject }

export async function list(
  { kind, backend, cached }: ListOptions,
  { house, config }: Opened,
  context: Context,
  cancellation: Cancellation = never,
): Promise<number> {
  const aliases = config.backends.map(({ alias }) => alias)
  if (backend !== undefined && !aliases.includes(backend))
    throw new McpError('USAGE', `no server is called ${backend}`, { hint: `configured are ${aliases.join(', ')}` })
  await (cached ? house.gateway.warm() : probe(house))
  // Who has not told by now has failed: waiting for it once more would start it once more.
  const catalog = house.gateway.known
  // What had come until then is no list.
  if (cancellation.cancelled) return exitCodes.interrupted
  const backends = house.status().backends.filter(({ alias }) => backend === undefined || alias === backend)
  const wanted = kind === undefined ? kinds : [kind]
  const found = new Map(
    wanted.map(one => [one, itemsOf(one, catalog).filter(item => backend === undefined || item.backend === backend)]),
  )

  if (context.globals.json) {
    const lists = [...found].map(([one, items]) => [one, items.map(item => jsonItem(one, item))] as const)
    const states = backends.map(({ alias, state }) => ({ alias, state }))
    context.io.stdout.write(`${JSON.stringify({ ...Object.fromEntries(lists), backends: states })}\n`)
  } else print(found, context)

  const broken = backends.filter(({ state }) => state !== 'healthy' && state !== 'disabled' && state !== 'idle')
  const active = backends.filter(({ state }) => state !== 'disabled')
  if (!context.globals.json || context.globals.verbose) {
    for (const { alias, state, lastFailure } of broken)
      warn(`${alias} is ${state}${lastFailure ? `: ${lastFailure.message}` : ''}`, context, lastFailure?.hint)
    for (const { severity, message } of catalog.problems) if (severity === 'warning') warn(message, context)
  }
  return active.length > 0 && broken.length === active.length ? exitCodes.degraded : exitCodes.done
}

function warn(message: string, context: Context, hint?: string): void {
  const { stderr } = context.io
  const clean = (text: string): string => printable(text, stderr)
  stderr.write(`${[`${styleFor(context, stderr).yellow('warning')} ${clean(message)}`, ...hintLines(hint, clean)].join('\n')}\n`)
}

function itemsOf(kind: Kind, catalog: Catalog): Item[] {
  return catalog[kind].flatMap(item => {
    const owner = ownerOf(kind, item, catalog)
    return owner ? [{ backend: owner.alias, own: owner.own, item }] : []
  })
}

function ownerOf(kind: Kind, item: JsonObject, catalog: Catalog): { alias: string; own: string } | undefined {
  switch (kind) {
    case 'tools':
      return catalog.tool(String(item['name']))
    case 'prompts':
      return catalog.prompt(String(item['name']))
    case 'resources':
      return catalog.resource(String(item['uri']))
    case 'templates': {
      const owner = catalog.ref({ type: 'ref/resource', uri: item['uriTemplate'] })
      return owner && { alias: owner.alias, own: String(owner.ref['uri']) }
    }
  }
}

/** What an item goes by, and what its server calls that. */
const keys: { readonly [K in Kind]: readonly [key: string, original: string] } = {
  tools: ['name', 'originalName'],
  resources: ['uri', 'originalUri'],
  templates: ['uriTemplate', 'originalUriTemplate'],
  prompts: ['name', 'originalName'],
}

/** The item as clients get it, and where it comes from. */
function jsonItem(kind: Kind, { backend, own, item }: Item): JsonObject {
  const [key, original] = keys[kind]
  const { [key]: name, ...rest } = item
  return { [key]: name, backend, [original]: own, ...rest }
}

const heads: { readonly [K in Kind]: readonly string[] } = {
  tools: ['TOOL', 'SERVER', 'DESCRIPTION'],
  resources: ['RESOURCE', 'SERVER', 'NAME'],
  templates: ['TEMPLATE', 'SERVER', 'NAME'],
  prompts: ['PROMPT', 'SERVER', 'DESCRIPTION'],
}

function print(found: ReadonlyMap<Kind, readonly Item[]>, context: Context): void {
  const { stdout } = context.io
  const { bold, dim } = styleFor(context, stdout)
  const sections = [...found].flatMap(([kind, items]) => {
    if (items.length === 0) return found.size > 1 ? [] : [dim(`no ${kind}`)]
    const rows = items.map(({ backend, item }) => [String(item[keys[kind][0]]), backend, wordsOf(kind, item)])
    return [tableFor(stdout, heads[kind], rows, bold)]
  })
  stdout.write(`${sections.length === 0 ? dim('nothing is offered') : sections.join('\n\n')}\n`)
}

/** What a person reads of an item: the first line of its description. */
function wordsOf(kind: Kind, item: JsonObject): string {
  const words =
    kind === 'resources' || kind === 'templates' ? (item['title'] ?? item['name']) : (item['description'] ?? item['title'])
  return typeof words === 'string' ? (words.trim().split('\n', 1)[0] as string) : ''
}
