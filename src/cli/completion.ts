/**
 * `completion`: a script that completes our command line in bash, zsh or fish, written from the commands as they are defined,
 * so it can never lag behind them.
 */
import { Argument, type Command, type Option } from 'commander'
import { clientIds } from '../clients/client.ts'
import { commands, skeleton, type Context, type Define } from './command.ts'
import type { Io } from './io.ts'
import { exitCodes } from './report.ts'
import { scriptFor, shells, type Choice, type Flag, type Shell, type Word } from './shells.ts'
import { templates } from './template.ts'

export const define: Define = (command, start) => {
  command
    .addArgument(new Argument('<shell>', 'whose script to print').choices(shells))
    .action((shell: Shell) => start(context => completion(shell, context)))
}

async function completion(shell: Shell, { io }: Context): Promise<number> {
  io.stdout.write(scriptFor(shell, await wordsOf(io)))
  return exitCodes.done
}

/** What may follow what: a row for the beginning, for each command, and for each command of a command. */
export async function wordsOf(io: Io): Promise<readonly Word[]> {
  const program = skeleton(io)
  for (const { name, summary, load } of commands) (await load()).define(program.command(name).summary(summary), () => {})
  const shared = [...program.options.flatMap(flagsOf), ...helpFlags]
  const below = (command: Command, path: readonly string[]): Word[] => [
    {
      path,
      flags: path.length === 0 ? shared : [...command.options.flatMap(flagsOf), ...shared.filter(({ text }) => !isVersion(text))],
      next:
        command.commands.length > 0
          ? choicesOf(command)
          : command.registeredArguments.flatMap(argument => valuesOf(argument, path)),
      file: command.registeredArguments.some(argument => argument.name() === 'file'),
    },
    ...command.commands.flatMap(inner => below(inner, [...path, inner.name()])),
  ]
  return below(program, [])
}

const helpFlags: readonly Flag[] = ['--help', '-h'].map(text => ({ text, about: 'show help', takes: undefined }))
const isVersion = (text: string): boolean => text === '--version' || text === '-V'

const choicesOf = (command: Command): Choice[] =>
  command.commands.map(inner => ({ text: inner.name(), about: inner.summary() || inner.description() }))

/** What an argument may be, where that is known without asking any server. */
function valuesOf(argument: Argument, path: readonly string[]): Choice[] {
  const known = argument.name() === 'client' ? clientIds : path.join(' ') === 'template show' ? templateNames() : []
  return (argument.argChoices ?? known).map(text => ({ text, about: '' }))
}

const templateNames = (): string[] => [...templates.map(({ name }) => name), ...clientIds.map(id => `client-${id}`)]

function flagsOf({ long, short, description, flags, argChoices, required, optional }: Option): Flag[] {
  const value = flags.replace(/^[^<[]*/, '')
  const takes =
    required || optional
      ? { file: /file|path|dir/i.test(value), values: argChoices ?? (long === '--client' ? clientIds : []) }
      : undefined
  return [long, short].flatMap(text => (text ? [{ text, about: description, takes }] : []))
}
