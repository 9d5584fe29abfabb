/**
 * `init`: the first hour. Finds clients and their servers, lets the person choose, takes them over, starts each once to see
 * that it works, and says what to do next.
 */
import type { Client, ClientId } from '../clients/client.ts'
import type { Found } from '../clients/convert.ts'
import { serversOf } from '../clients/import.ts'
import { clients } from '../clients/list.ts'
import { survey, type ClientState } from '../clients/survey.ts'
import type { BackendStatus } from '../gateway/contract.ts'
import { McpError } from '../gateway/errors.ts'
import { adopt, adoptedJson, type Adopted } from './adopt.ts'
import { styleFor, type Context, type Define } from './command.ts'
import { withHouse } from './house.ts'
import { refuseBroken } from './import.ts'
import { printable } from './io.ts'
import { clientNamed, machineOf, requireTerminal, writeJson, type Machine } from './machine.ts'
import { questioner, type Questioner } from './question.ts'
import { exitCodes, hintLines } from './report.ts'

export interface InitOptions {
  /** Empty: every client that is here. */
  readonly from: readonly ClientId[]
  readonly yes: boolean
  readonly dryRun: boolean
  /** Whether servers are started once. */
  readonly check: boolean
}

export const define: Define = (command, start) => {
  command
    .option('--from <client...>', 'only these clients (default: all that are found)')
    .option('-y, --yes', 'take everything, do not ask')
    .option('--dry-run', 'only show what would change')
    .option('--no-check', 'do not start the servers to see whether they work')
    .action(({ from, yes, dryRun, check }: { from?: string[]; yes?: boolean; dryRun?: boolean; check: boolean }) =>
      start(context => {
        const named = (from ?? [])
          .flatMap(words => words.split(','))
          .filter(Boolean)
          .map(word => clientNamed(word).id)
        return init({ from: named, yes: yes === true, dryRun: dryRun === true, check }, context)
      }),
    )
}

export async function init({ from, yes, dryRun, check }: InitOptions, context: Context): Promise<number> {
  const { io, globals } = context
  if (!yes && !dryRun) requireTerminal(io)
  const machine = machineOf(context)
  const states = await Promise.all(
    clients.filter(({ id }) => from.length === 0 || from.includes(id)).map(client => survey(client, machine.on)),
  )
  if (from.length > 0) refuseBroken(states)
  const { own, foreign } = await candidates(states, machine)
  if (!globals.json) io.stdout.write(overview(states, context))
  const person = yes || dryRun ? undefined : questioner(io)
  let adopted: Adopted
  try {
    const chosen = person ? await choose([...own, ...foreign], own.length, person, context) : own
    adopted = await adopt(chosen, machine, { command: 'init', yes, dryRun, person }, context)
  } finally {
    person?.close()
  }

  const servers = check && !dryRun && adopted.isDone ? await tryOut(adopted, machine, context) : undefined
  const isBroken = servers?.some(({ state }) => state !== 'healthy' && state !== 'disabled') === true
  if (globals.json)
    writeJson(
      { ...adoptedJson(adopted, machine.config), servers: servers ?? [], installed: here(states).map(({ id }) => id) },
      context,
    )
  else {
    if (servers) io.stdout.write(verdicts(servers, context))
    if (!globals.quiet) io.stderr.write(nextSteps(states, adopted, yes ? foreign : [], dryRun, machine))
  }
  return isBroken ? exitCodes.degraded : exitCodes.done
}

/** Servers of the user's own files; and those that came with the current folder, which nobody may have looked at. */
async function candidates(states: readonly ClientState[], { journal }: Machine): Promise<{ own: Found[]; foreign: Found[] }> {
  const found = states.flatMap(state => serversOf([state], undefined, journal.changesOf(state.client.id)))
  const isForeign = ({ place }: Found): boolean => place.scope === 'project' || place.scope === 'workspace'
  return { own: found.filter(one => !isForeign(one)), foreign: found.filter(isForeign) }
}

const here = (states: readonly ClientState[]): Client[] =>
  states.filter(({ isInstalled }) => isInstalled).map(({ client }) => client)

function overview(states: readonly ClientState[], context: Context): string {
  const { yellow } = styleFor(context, context.io.stdout)
  const titles = here(states).map(({ title }) => title)
  const broken = states.flatMap(({ places }) =>
    places.filter(({ problem }) => problem).map(({ problem }) => `${yellow('left alone')}: ${(problem as McpError).message}\n`),
  )
  return `${titles.length === 0 ? 'no clients were found' : `found: ${titles.join(', ')}`}\n${broken.join('')}\n`
}

async function choose(found: readonly Found[], own: number, person: Questioner, { io }: Context): Promise<readonly Found[]> {
  if (found.length === 0) return []
  const lines = found.map(({ name, client, place }, index) => {
    const origin = `${client.id}, ${place.scope}${index < own ? '' : ': of this folder'}`
    return `  ${String(index + 1).padStart(2)}  ${printable(name, io.stdout)}  (${origin})`
  })
  io.stdout.write(`${lines.join('\n')}\n`)
  const usual = own === found.length ? 'all' : own === 0 ? 'none' : own === 1 ? '1' : `1-${own}`
  for (;;) {
    const line = await person.line(`Which servers? Numbers such as 1,3-5, "none", or Enter for ${usual}: `)
    if (line === undefined) throw new McpError('CANCELLED', 'nothing was changed')
    const answer = line.trim().toLowerCase()
    if (answer === '') return found.slice(0, own)
    if (answer === 'all') return found
    if (answer === 'none') return []
    const numbers = numbersOf(answer, found.length)
    if (numbers) return found.filter((_, index) => numbers.has(index + 1))
    person.say('That is no list of these numbers.')
  }
}

/** `1,3-5`; undefined when it is something else. */
export function numbersOf(text: string, last: number): Set<number> | undefined {
  const numbers = new Set<number>()
  for (const part of text.split(/[\s,]+/).filter(Boolean)) {
    const [, from, to] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part) ?? []
    if (from === undefined) return undefined
    const [first, end] = [Number(from), Number(to ?? from)]
    if (first < 1 || end > last || end < first) return undefined
    for (let number = first; number <= end; number++) numbers.add(number)
  }
  return numbers.size > 0 ? numbers : undefined
}

/** Starts or contacts each server that was taken over; what else the config has is not our question. */
async function tryOut({ additions }: Adopted, { config }: Machine, context: Context): Promise<BackendStatus[]> {
  const { io, globals } = context
  if (!globals.quiet && !globals.json) io.stderr.write('starting each server once …\n')
  const aliases = new Set(additions.map(({ alias }) => alias))
  let found: readonly BackendStatus[] = []
  await withHouse({ ...context, globals: { ...globals, config, logLevel: globals.logLevel ?? 'silent' } }, async ({ house }) => {
    await Promise.all(house.gateway.members.filter(({ name }) => aliases.has(name)).map(member => member.offered(true)))
    found = house.status().backends
    return exitCodes.done
  })
  return found.filter(({ alias }) => aliases.has(alias))
}

function verdicts(servers: readonly BackendStatus[], context: Context): string {
  const { stdout } = context.io
  const { green, red, dim } = styleFor(context, stdout)
  const clean = (text: string): string => printable(context.redactor.scrub(text), stdout)
  const lines = servers.map(({ alias, state, tools, lastFailure }) =>
    state === 'healthy'
      ? `${green('works')}  ${alias}: ${tools} tools`
      : state === 'disabled'
        ? `${dim('off')}    ${alias}`
        : `${red('fails')}  ${alias}: ${[clean(lastFailure?.message ?? state), ...hintLines(lastFailure?.hint, clean)].join('\n')}`,
  )
  return `\n${lines.join('\n')}\n`
}

function nextSteps(
  states: readonly ClientState[],
  { isDone, additions, edit }: Adopted,
  left: readonly Found[],
  dryRun: boolean,
  { config }: Machine,
): string {
  const lines: string[] = []
  if (dryRun) lines.push('nothing was changed')
  else if (isDone) lines.push(`\nwrote ${additions.length} servers to ${config}`)
  else if (!edit) lines.push(`nothing to add to ${config}`)
  const origins = [...new Set(left.map(({ client, place }) => `${client.id} --scope ${place.scope}`))]
  for (const origin of origins) lines.push(`not taken, because it came with this folder: mcp-proxy import ${origin}`)
  const ids = here(states).map(({ id }) => id)
  if (ids.length > 0 && !dryRun)
    lines.push(
      'next, for each client that shall use it (--replace takes its own entries of these servers out):',
      ...ids.map(id => `  mcp-proxy install ${id} --replace`),
    )
  if (isDone) lines.push('to take this back: mcp-proxy undo')
  return `${lines.join('\n')}\n`
}
