/**
 * Substitution: `${VAR}`, `${VAR:-default}`, `${env:VAR}`, `${file:path}`, `${cred:NAME}`, and `$${` for a literal `${`.
 * One pass over parsed text: what is put in is never looked at again. Knows no key and no schema.
 */
import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { McpError } from '../gateway/errors.ts'
import { looksSecret } from './secrets.ts'
import { resolvePath } from './paths.ts'
import type { Path, ProblemCode } from './problems.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface Lookup {
  readonly env: Environment
  /** Folder that relative `${file:…}` paths start from. */
  readonly base: string
  /** The stored credential; undefined when there is none. Throws an McpError when the store cannot be trusted. */
  credential(name: string): string | undefined
}

export interface Expansion {
  /** undefined when something in it could not be resolved. */
  readonly value: string | undefined
  readonly troubles: readonly Trouble[]
  /** Parts that must not be shown. */
  readonly secrets: readonly string[]
  /** Files it was read from. */
  readonly files: readonly string[]
}

export interface Trouble {
  readonly code: ProblemCode
  readonly message: string
  readonly hint?: string | undefined
}

const maxFileBytes = 64 * 1024

const variable = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Whether there is anything to substitute. */
export const hasReference = (text: string): boolean => text.includes('${')

export function expandText(text: string, lookup: Lookup): Expansion {
  if (!hasReference(text)) return { value: text, troubles: [], secrets: [], files: [] }
  const troubles: Trouble[] = []
  const secrets: string[] = []
  const files: string[] = []
  let value = ''
  let at = 0
  for (let open = text.indexOf('${'); open >= 0; open = text.indexOf('${', at)) {
    if (text[open - 1] === '$' && open - 1 >= at) {
      value += `${text.slice(at, open - 1)}\${`
      at = open + 2
      continue
    }
    value += text.slice(at, open)
    const close = text.indexOf('}', open)
    if (close < 0) {
      troubles.push({ code: 'BAD_REFERENCE', message: 'a ${ is never closed', hint: 'write $${ for a literal ${' })
      at = text.length
      break
    }
    const found = resolve(text.slice(open + 2, close), lookup, secrets, files)
    if (typeof found === 'string') value += found
    else troubles.push(found)
    at = close + 1
  }
  return { value: troubles.length > 0 ? undefined : value + text.slice(at), troubles, secrets, files }
}

function resolve(body: string, lookup: Lookup, secrets: string[], files: string[]): string | Trouble {
  if (body.includes('${'))
    return { code: 'BAD_REFERENCE', message: `\${${body}} is nested`, hint: 'substitution is one pass; use one variable' }
  const split = body.indexOf(':-')
  const name = split < 0 ? body : body.slice(0, split)
  const fallback = split < 0 ? undefined : body.slice(split + 2)
  const [, scheme, rest = ''] = /^([A-Za-z]+):(.*)$/s.exec(name) ?? []
  if (scheme === undefined) {
    if (!variable.test(name))
      return { code: 'BAD_REFERENCE', message: `\${${body}} names no variable`, hint: 'write $${ for a literal ${' }
    return fromEnvironment(name, fallback, lookup, secrets, files)
  }
  if (scheme === 'env')
    return rest === ''
      ? { code: 'BAD_REFERENCE', message: '${env:} names no variable' }
      : fromEnvironment(rest, fallback, lookup, secrets, files)
  if (scheme === 'file') return fromFile(rest, fallback, lookup.base, secrets, files)
  if (scheme === 'cred') return fromCredentials(rest, fallback, lookup, secrets, files)
  return {
    code: 'BAD_REFERENCE',
    message: `\${${scheme}:…} is not supported`,
    hint: hints.get(scheme) ?? 'known are ${VAR}, ${env:VAR}, ${file:path} and ${cred:NAME}',
  }
}

const store = 'store the value with "mcp-proxy credentials set NAME" and write ${cred:NAME}'

const hints: ReadonlyMap<string, string> = new Map([
  ['input', store],
  ['keyring', store],
  ['keychain', store],
  ['cmd', 'run the command yourself and store its output with "mcp-proxy credentials set NAME"'],
])

/** Variables that only exist inside some client. */
const clientVariables: ReadonlyMap<string, string> = new Map([
  ['workspaceFolder', 'write the folder itself, or a path relative to this file'],
  ['workspaceFolderBasename', 'write the name itself'],
  ['userHome', 'write ~/ or ${HOME}'],
  ['__dirname', 'write a path relative to this file'],
  ['pathSeparator', 'write the separator itself'],
])

/** As in a shell, `:-` also covers a variable that is set but empty. */
function fromEnvironment(
  name: string,
  fallback: string | undefined,
  { env, base }: Lookup,
  secrets: string[],
  files: string[],
): string | Trouble {
  const value = Object.hasOwn(env, name) || process.platform === 'win32' ? env[name] : undefined
  if (value !== undefined && !(value === '' && fallback !== undefined)) {
    if (looksSecret(name)) secrets.push(value)
    return value
  }
  // Container engines hand over files, and by their custom the variable NAME_FILE says which.
  const file = value === undefined ? env[`${name}_FILE`] : undefined
  if (file) return fromFile(file, fallback, base, secrets, files)
  if (fallback !== undefined) return fallback
  return {
    code: 'UNSET_VARIABLE',
    message: `the variable ${name} is not set`,
    hint: clientVariables.get(name) ?? `set it, or give a default: \${${name}:-…}`,
  }
}

function fromFile(
  path: string,
  fallback: string | undefined,
  base: string,
  secrets: string[],
  files: string[],
): string | Trouble {
  if (path === '') return { code: 'BAD_REFERENCE', message: '${file:} names no file' }
  const file = resolvePath(path, base)
  files.push(file)
  let handle: number | undefined
  try {
    // A pipe nobody writes to must not hold us up.
    handle = openSync(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    const stat = fstatSync(handle)
    if (!stat.isFile()) return { code: 'MISSING_FILE', message: `${file} is no file` }
    if (stat.size > maxFileBytes) return { code: 'MISSING_FILE', message: `${file} is larger than 64 KiB` }
    const bytes = readFileSync(handle)
    if (bytes[0] === 0xff && bytes[1] === 0xfe) return { code: 'MISSING_FILE', message: `${file} is UTF-16`, hint: 'save the file as UTF-8' }
    // Every editor and `echo` end a file with a newline that is no part of the value; those of Windows may begin it with a mark.
    const value = bytes.toString('utf8').replace(/^\ufeff/, '').replace(/\r?\n$/, '')
    secrets.push(value)
    return value
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' && fallback !== undefined) return fallback
    return {
      code: 'MISSING_FILE',
      message: code === 'ENOENT' ? `there is no file ${file}` : `${file} cannot be read (${code ?? 'unknown error'})`,
    }
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}

/** The store first, then the environment, then the files that systemd and container engines lay out, then the default. */
function fromCredentials(
  name: string,
  fallback: string | undefined,
  lookup: Lookup,
  secrets: string[],
  files: string[],
): string | Trouble {
  if (!/^[A-Za-z0-9_.-]{1,64}$/.test(name)) return { code: 'BAD_REFERENCE', message: `\${cred:${name}} names no credential` }
  let value: string | undefined
  try {
    value = lookup.credential(name)
  } catch (error) {
    if (!(error instanceof McpError)) throw error
    const code = error.code === 'CREDENTIALS_UNSAFE' ? 'CREDENTIALS_UNSAFE' : 'CREDENTIALS_INVALID'
    return { code, message: error.message, hint: error.details.hint }
  }
  // Compose files hand over what nobody has set as an empty text, and no credential is empty.
  value ??= (Object.hasOwn(lookup.env, name) && lookup.env[name]) || undefined
  if (value === undefined) {
    const laidOut = [lookup.env['CREDENTIALS_DIRECTORY'], '/run/secrets'].map(folder => folder && resolvePath(name, folder))
    const file = lookup.env[`${name}_FILE`] || laidOut.find(path => path && existsSync(path))
    if (file) return fromFile(file, fallback, lookup.base, secrets, files)
  }
  if (value !== undefined) secrets.push(value)
  value ??= fallback
  if (value !== undefined) return value
  return { code: 'UNKNOWN_CREDENTIAL', message: `there is no credential ${name}`, hint: `mcp-proxy credentials set ${name}` }
}

export interface TreeExpansion {
  /** A copy; texts that could not be resolved stand as they were. */
  readonly value: unknown
  readonly troubles: readonly (Trouble & { at: Path })[]
  readonly secrets: readonly string[]
  readonly files: readonly string[]
  /** Paths, as JSON, of texts that had a reference: resolved with a secret in it, resolved without, or not at all. */
  readonly marks: ReadonlyMap<string, 'secret' | 'resolved' | 'unresolved'>
}

/** Substitutes in every text of a tree; keys are left alone. With no lookup, texts are only marked. */
export function expandTree(tree: unknown, lookup: Lookup | undefined): TreeExpansion {
  const troubles: (Trouble & { at: Path })[] = []
  const secrets: string[] = []
  const files: string[] = []
  const marks = new Map<string, 'secret' | 'resolved' | 'unresolved'>()
  const walk = (node: unknown, at: Path): unknown => {
    if (typeof node === 'string') return hasReference(node) ? expand(node, at) : node
    if (Array.isArray(node)) return node.map((item, index) => walk(item, [...at, index]))
    if (typeof node !== 'object' || node === null) return node
    return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, walk(value, [...at, key])]))
  }
  const expand = (text: string, at: Path): string => {
    const expansion = lookup && expandText(text, lookup)
    for (const trouble of expansion?.troubles ?? []) troubles.push({ ...trouble, at })
    secrets.push(...(expansion?.secrets ?? []))
    files.push(...(expansion?.files ?? []))
    marks.set(
      JSON.stringify(at),
      expansion?.value === undefined ? 'unresolved' : expansion.secrets.length > 0 ? 'secret' : 'resolved',
    )
    return expansion?.value ?? text
  }
  return { value: walk(tree, []), troubles, secrets, files, marks }
}
