/**
 * How clients write variables in their configs, and what that is in our notation. A text no client would touch is escaped,
 * so that it stays the text it was. Pure.
 */
import type { Notation, NotationContext, Reading } from './client.ts'

/** What stands for one reference: our notation, a literal, an input asked of the user, or why there is none. */
type Resolved = { ours: string } | { literal: string } | { input: string } | { trouble: string }

/** undefined = this client leaves it as it is. */
type Resolve = (match: RegExpExecArray, context: NotationContext) => Resolved | undefined

/** Our own notation sees `${`; doubled, it is a text again. */
const escaped = (text: string): string => text.replaceAll('${', () => '$${')

const notation =
  (pattern: RegExp, resolve: Resolve): Notation =>
  (text, context): Reading => {
    let out = ''
    let literal = 0
    let refers = false
    let trouble: string | undefined
    const inputs: string[] = []
    for (const match of text.matchAll(pattern)) {
      const found = resolve(match, context)
      if (found === undefined) continue
      out += escaped(text.slice(literal, match.index))
      literal = match.index + match[0].length
      if ('literal' in found) {
        out += escaped(found.literal)
        continue
      }
      refers = true
      if ('trouble' in found) trouble ??= found.trouble
      else if ('input' in found) {
        inputs.push(found.input)
        out += `\${cred:${credentialWord(found.input)}}`
      } else out += found.ours
    }
    return { text: out + escaped(text.slice(literal)), refers, inputs, trouble }
  }

export const credentialWord = (text: string): string => text.replace(/[^A-Za-z0-9_.-]/g, '_').slice(0, 64)

const variable = /^[A-Za-z_][A-Za-z0-9_]*$/

const fromEnvironment = (name: string, fallback?: string): Resolved => {
  const rest = fallback === undefined ? '' : `:-${fallback}`
  if (fallback?.includes('}')) return { trouble: `the default of ${name} cannot be kept` }
  return { ours: variable.test(name) ? `\${${name}${rest}}` : `\${env:${name}${rest}}` }
}

/** Clients that put nothing in place of anything. */
export const literal: Notation = text => ({ text: escaped(text), refers: false, inputs: [] })

/** `${VAR}` and `${VAR:-default}`; nothing else, `$VAR` least of all. */
export const claudeCode = notation(
  /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g,
  ([, name, fallback], { surroundings, folder }) =>
    name === 'CLAUDE_PROJECT_DIR' && surroundings.env[name] === undefined
      ? folder === undefined
        ? { trouble: '${CLAUDE_PROJECT_DIR} exists only inside a project' }
        : { literal: folder }
      : fromEnvironment(name as string, fallback),
)

/** `${env:X}`, `${userHome}`, `${workspaceFolder}`, `${input:id}`: the editors that come from VS Code. */
export const editor = notation(
  /\$\{(env:|input:|config:|command:)?([^}:]*)\}/g,
  ([whole, scheme, name], { surroundings, folder }) => {
    if (scheme === 'env:') return fromEnvironment(name as string)
    if (scheme === 'input:') return { input: name as string }
    if (scheme !== undefined) return { trouble: `${whole} exists only inside the editor` }
    switch (name) {
      case 'userHome':
        return { literal: surroundings.home }
      case '/':
      case 'pathSeparator':
        return { literal: surroundings.platform === 'win32' ? '\\' : '/' }
      case 'workspaceFolder':
        return folder === undefined ? { trouble: '${workspaceFolder} exists only inside a workspace' } : { literal: folder }
      case 'workspaceFolderBasename':
        return folder === undefined
          ? { trouble: '${workspaceFolderBasename} exists only inside a workspace' }
          : { literal: folder.replace(/^.*[/\\]/, '') }
      default:
        return undefined
    }
  },
)

/** `${env:X}` alone. */
export const envOnly = notation(/\$\{env:([^}]+)\}/g, ([, name]) => fromEnvironment(name as string))

/** `${env:X}` and `${file:/path}`. */
export const windsurf = notation(/\$\{(env|file):([^}]+)\}/g, ([, scheme, rest]) =>
  scheme === 'env' ? fromEnvironment(rest as string) : { ours: `\${file:${rest}}` },
)

/** `$X`, `${X}`, `${X:-default}`, and `%X%` on Windows; what is not set becomes empty. */
export const gemini = notation(
  /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$([A-Za-z_][A-Za-z0-9_]*)|%([A-Za-z_][A-Za-z0-9_]*)%/g,
  ([, braced, fallback, bare, percent], { surroundings }) =>
    percent !== undefined && surroundings.platform !== 'win32'
      ? undefined
      : fromEnvironment((braced ?? bare ?? percent) as string, fallback ?? ''),
)

/** `${X}` and `$X`; and `${keyring:X}`, our own word for a variable whose value Goose keeps in the system's keyring. */
export const goose = notation(
  /\$\{(keyring:)?([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)/g,
  ([, keyring, braced, bare]) =>
    keyring === undefined ? fromEnvironment((braced ?? bare) as string) : { input: braced as string },
)

/** `{env:X}` and `{file:path}`; what is not set becomes empty. */
export const opencode = notation(/\{(env|file):([^}]+)\}/g, ([, scheme, rest]) =>
  scheme === 'env' ? fromEnvironment(rest as string, '') : { ours: `\${file:${rest}}` },
)
