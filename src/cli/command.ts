/**
 * The command line: the list of commands, the flags they share, and the way from argv to an exit code. Each command is a file
 * of its own, loaded when it is the one that was asked for.
 */
import { Command, CommanderError, Option } from 'commander'
import { installedBy, remedy } from '../app/installed-by.ts'
import { logLevelNames, type LogFormat } from '../app/logging.ts'
import { Redactor } from '../app/redact.ts'
import { version } from '../app/version.ts'
import type { LogLevelName } from '../config/config.ts'
import { McpError } from '../gateway/errors.ts'
import { styleOf, wantsColor, type Io, type Output, type Style } from './io.ts'
import { exitCodes, report } from './report.ts'

/** Flags every command takes. */
export interface Globals {
  readonly config: string | undefined
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  readonly debug: boolean
  readonly logLevel: LogLevelName | undefined
  readonly logFormat: LogFormat | undefined
  readonly color: boolean
  /** Folder for a CPU and a heap profile of this command. */
  readonly profile: string | undefined
}

export interface Context {
  readonly io: Io
  readonly globals: Globals
  /** Learns the secrets of the config as it is loaded; every error text passes it. */
  readonly redactor: Redactor
}

/** What a parsed command line means. Returns the exit code; every failure is thrown as an McpError. */
export type Work = (context: Context) => Promise<number>

/** Gives a command its arguments and options; its action hands over the work. */
export type Define = (command: Command, start: (work: Work) => void) => void

interface Entry {
  readonly name: string
  readonly summary: string
  readonly load: () => Promise<{ readonly define: Define }>
}

export const commands: readonly Entry[] = [
  { name: 'run', summary: 'serve all configured servers as one, over stdio', load: () => import('./run.ts') },
  { name: 'serve', summary: 'serve all configured servers as one, over HTTP', load: () => import('./serve.ts') },
  { name: 'connect', summary: 'serve one remote server over stdio, without a config file', load: () => import('./connect.ts') },
  { name: 'list', summary: 'list tools, resources, templates and prompts', load: () => import('./list.ts') },
  { name: 'call', summary: 'call a tool', load: () => import('./call.ts') },
  { name: 'read', summary: 'read a resource', load: () => import('./read.ts') },
  { name: 'prompt', summary: 'get a prompt', load: () => import('./prompt.ts') },
  { name: 'validate', summary: 'check a config file', load: () => import('./validate.ts') },
  { name: 'status', summary: 'show the state of every server', load: () => import('./status.ts') },
  { name: 'daemon', summary: 'look after the process that clients share', load: () => import('./daemon.ts') },
  { name: 'top', summary: 'watch what the servers of a running proxy are doing', load: () => import('./top.ts') },
  { name: 'why', summary: 'explain why a tool is missing, renamed or changed', load: () => import('./why.ts') },
  { name: 'init', summary: 'take over the servers of the clients on this machine', load: () => import('./init.ts') },
  { name: 'clients', summary: 'show the clients on this machine, and what they point at', load: () => import('./clients.ts') },
  { name: 'import', summary: 'take over the servers of one client', load: () => import('./import.ts') },
  { name: 'install', summary: 'put our entry into a client’s config', load: () => import('./install.ts') },
  { name: 'uninstall', summary: 'take our entry out of a client’s config', load: () => import('./uninstall.ts') },
  { name: 'undo', summary: 'restore clients’ files as they were before', load: () => import('./undo.ts') },
  { name: 'credentials', summary: 'keep secrets out of config files', load: () => import('./credentials.ts') },
  { name: 'config', summary: 'show the config file, its values, or its schema', load: () => import('./config.ts') },
  { name: 'template', summary: 'print files to start from: units, manifests, web servers, clients', load: () => import('./template.ts') },
  { name: 'completion', summary: 'print a completion script for bash, zsh or fish', load: () => import('./completion.ts') },
  { name: 'version', summary: 'show the version and how it was installed', load: () => import('./version.ts') },
]

export const styleFor = ({ io, globals }: Context, output: Output): Style => styleOf(wantsColor(output, io.env, globals.color))

export interface Parsed {
  /** undefined: help was printed and nothing is left to do. */
  readonly work: Work | undefined
  readonly globals: Globals
}

/** argv (without node and script) → what to do. Throws USAGE for what cannot be understood. */
export async function parse(argv: readonly string[], io: Io): Promise<Parsed> {
  const name = commandWord(argv)
  let work: Work | undefined
  const program = skeleton(io)
  for (const entry of commands) {
    const command = program.command(entry.name).summary(entry.summary).description(capitalized(entry.summary))
    if (entry.name === name) (await entry.load()).define(command, chosen => (work = chosen))
  }
  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return { work: undefined, globals: globalsOf(program) }
    throw usage(error, argv, program)
  }
  return { work, globals: globalsOf(program) }
}

export interface CommandLine {
  /** Does what the words say; resolves with the exit code, and never rejects. */
  run(): Promise<number>
  /** Reports what nobody caught; returns the exit code. */
  crashed(thrown: unknown): number
}

export function commandLine(argv: readonly string[], io: Io): CommandLine {
  const redactor = new Redactor()
  // Before the flags are understood, the words themselves say how to report.
  const words = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv
  let style = { json: words.includes('--json'), color: !words.includes('--no-color'), debug: words.includes('--debug') }
  return {
    async run() {
      try {
        const { work, globals } = await parse(argv, io)
        style = globals
        if (!work) return exitCodes.done
        const context: Context = { io, globals, redactor }
        if (globals.profile === undefined) return await work(context)
        const { profiled } = await import('./profile.ts')
        return await profiled(globals.profile, () => work(context))
      } catch (error) {
        return report(error, io, { ...style, redactor })
      }
    },
    crashed(thrown) {
      const text = thrown instanceof Error ? thrown.message : String(thrown)
      const renewal = remedy(installedBy({ script: io.script, env: io.env }), 'update')
      const hint = `this is a mistake of ours; a newer version may not have it: ${renewal}`
      return report(new McpError('INTERNAL', `unexpected failure: ${text}`, { cause: thrown, hint }), io, { ...style, redactor })
    },
  }
}

const withValue = ['--config', '--log-level', '--log-format', '--profile']

/** The word that names the command: the first that is neither a flag nor a flag's value. `help x` is about x. */
function commandWord(argv: readonly string[]): string | undefined {
  const words = argv.filter((word, index) => !word.startsWith('-') && !withValue.includes(argv[index - 1] ?? ''))
  return words[0] === 'help' ? words[1] : words[0]
}

/** The program and the flags that all commands share, without any command. */
export function skeleton(io: Io): Command {
  const program = new Command('mcp-proxy')
    .description('One command that turns any pile of MCP servers into one server that any MCP client can use.')
    .usage('<command> [options]')
    .option('--config <file>', 'config file (default: $MCP_PROXY_CONFIG, then the user config directory)')
    .option('--json', 'print JSON for scripts; failures are one line of JSON on stderr')
    .option('-q, --quiet', 'log errors only')
    .option('-v, --verbose', 'log more')
    .option('--debug', 'log everything, and show stack traces')
    .addOption(new Option('--log-level <level>', 'least severe line to log').choices(logLevelNames))
    .addOption(
      new Option('--log-format <format>', 'how log lines look (default: pretty on a terminal)').choices(['pretty', 'json']),
    )
    .option('--no-color', 'no colours (so does NO_COLOR)')
    .option('--profile <dir>', 'write a CPU and a heap profile into this folder')
    .version(version, '-V, --version', 'print the version number')
    .helpCommand('help [command]', 'show help for a command')
    .showSuggestionAfterError(true)
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .exitOverride()
  return program.configureOutput({
    writeOut: text => void io.stdout.write(text),
    // Errors are reported by us, once, in our own form.
    writeErr: text => void (program.args.length === 0 && program.opts()['json'] !== true && io.stderr.write(text)),
    outputError: () => {},
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  })
}

function globalsOf(program: Command): Globals {
  const given = program.opts()
  return {
    config: given['config'] as string | undefined,
    json: given['json'] === true,
    quiet: given['quiet'] === true,
    verbose: given['verbose'] === true,
    debug: given['debug'] === true,
    logLevel: given['logLevel'] as LogLevelName | undefined,
    logFormat: given['logFormat'] as LogFormat | undefined,
    color: given['color'] !== false,
    profile: given['profile'] as string | undefined,
  }
}

/** Commander's finding in our words: what is wrong, and its suggestion as the hint. */
function usage(error: CommanderError, argv: readonly string[], program: Command): McpError {
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n')
  const suggestion = rest
    .join(' ')
    .replace(/^\(|\)$/g, '')
    .trim()
  if (error.code === 'commander.help') {
    const name = commandWord(argv)
    const isGroup = program.commands.some(command => command.name() === name)
    if (name !== undefined && !isGroup) return new McpError('USAGE', `unknown command '${name}'`, { hint: 'mcp-proxy --help lists all' })
    return new McpError('USAGE', 'a command is needed', { hint: `mcp-proxy ${isGroup ? `${name} ` : ''}--help lists them` })
  }
  return new McpError('USAGE', first, { hint: suggestion === '' ? 'mcp-proxy help [command] shows what it takes' : suggestion })
}

const capitalized = (text: string): string => `${text[0]!.toUpperCase()}${text.slice(1)}.`
