/**
 * The findings of `validate` in the forms that build systems read: SARIF 2.1.0 and JUnit XML. Pure; secrets are taken out by
 * the caller.
 */
import { isAbsolute, relative, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Problem } from '../config/problems.ts'
import type { Contacted } from './contact.ts'

/** A problem of the file, or of a server that was contacted. */
export type Issue = Omit<Problem, 'code'> & { readonly code: string }

export interface Report {
  /** The config file, absolute. */
  readonly file: string
  readonly issues: readonly Issue[]
  readonly servers: readonly Contacted[]
  /** Aliases of the config. */
  readonly aliases: readonly string[]
  /** Warnings count as errors. */
  readonly strict: boolean
  readonly version: string
  readonly cwd: string
}

const isError = ({ severity }: Issue, strict: boolean): boolean => strict || severity === 'error'

const inWords = (code: string): string => code.toLowerCase().replaceAll('_', ' ')

/** Below the working folder its path from there, as code hosts want it; else a URL. */
function addressOf(file: string, cwd: string): string {
  const path = relative(cwd, file)
  if (path === '' || path.startsWith('..') || isAbsolute(path)) return pathToFileURL(file).href
  return path.split(sep).map(encodeURIComponent).join('/')
}

/** https://docs.oasis-open.org/sarif/sarif/v2.1.0/ */
export function sarif({ issues, strict, version, cwd }: Report): object {
  const codes = [...new Set(issues.map(({ code }) => code))]
  const results = issues.map(issue => {
    const { code, message, hint, file, line, column, path } = issue
    const physical = isAbsolute(file) && {
      physicalLocation: {
        artifactLocation: { uri: addressOf(file, cwd) },
        region: { startLine: line, startColumn: column },
      },
    }
    return {
      ruleId: code,
      ruleIndex: codes.indexOf(code),
      level: isError(issue, strict) ? 'error' : 'warning',
      message: { text: hint === undefined ? message : `${message}\n${hint}` },
      locations: [{ ...physical, ...(path === '' ? {} : { logicalLocations: [{ fullyQualifiedName: path }] }) }].filter(
        location => Object.keys(location).length > 0,
      ),
    }
  })
  const rules = codes.map(id => ({ id, shortDescription: { text: inWords(id) } }))
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [{ tool: { driver: { name: 'mcp-proxy', version, rules } }, columnKind: 'utf16CodeUnits', results }],
  }
}

/** One test case for the file, one for each server; warnings are said, and fail when they count. */
export function junit({ file, issues, servers, aliases, strict }: Report): string {
  const cases = [undefined, ...aliases].map(alias => {
    const own = issues.filter(({ backend }) => (backend !== undefined && aliases.includes(backend) ? backend : undefined) === alias)
    const failures = own.filter(issue => isError(issue, strict))
    const said = own.filter(issue => !isError(issue, strict))
    const ms = servers.find(server => server.alias === alias)?.ms
    const body = [
      ...(failures.length === 0 ? [] : [element('failure', { message: failures[0]!.message, type: failures[0]!.code }, failures.map(textOf).join('\n'))]),
      ...(said.length === 0 ? [] : [element('system-out', {}, said.map(textOf).join('\n'))]),
    ]
    const name = alias === undefined ? 'config file' : alias
    return { failed: failures.length > 0, ms: ms ?? 0, xml: element('testcase', { classname: 'mcp-proxy', name, time: seconds(ms ?? 0) }, body) }
  })
  const failed = cases.filter(one => one.failed).length
  const counts = { tests: cases.length, failures: failed, errors: 0, time: seconds(Math.max(...cases.map(({ ms }) => ms))) }
  const suite = element('testsuite', { name: file, ...counts }, cases.map(({ xml }) => xml))
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element('testsuites', counts, [suite])}\n`
}

const seconds = (ms: number): string => (ms / 1000).toFixed(3)

const textOf = ({ severity, code, message, file, line, column, hint }: Issue): string =>
  `${severity} ${code}: ${message}\n  at ${file}:${line}:${column}${hint === undefined ? '' : `\n  hint: ${hint}`}`

function element(name: string, attributes: Readonly<Record<string, string | number>>, body: string | readonly string[]): string {
  const told = Object.entries(attributes).map(([key, value]) => ` ${key}="${escaped(String(value)).replaceAll('\n', '&#10;')}"`)
  const inner = typeof body === 'string' ? escaped(body) : body.map(one => `\n${one}`).join('') + (body.length > 0 ? '\n' : '')
  return inner === '' ? `<${name}${told.join('')}/>` : `<${name}${told.join('')}>${inner}</${name}>`
}

const signs: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** XML 1.0 has no place for most control characters, nor for half a surrogate pair. */
const escaped = (text: string): string =>
  text
    .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '?')
    .replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, '?')
    .replace(/[&<>"]/g, sign => signs[sign] as string)
