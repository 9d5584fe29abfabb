/**
 * The second URI of a resource whose own one belongs to another backend: the own URI behind a literal prefix that names
 * the alias. Nothing is encoded, so a template stays a template, its expansion is the prefixed expansion (RFC 6570
 * copies literals), and reading back is cutting the prefix off. A URI stays legal (RFC 3986: `:` and `//` may stand in a
 * path) and `ui:` stays `ui:`, which hosts of Apps insist on.
 */
import { isUtf8 } from 'node:buffer'

const general = 'mcp-proxy://'
const uiScheme = 'ui://'
const ui = 'ui://mcp-proxy.'

export interface UriRoute {
  readonly alias: string
  /** The URI or URI template as the backend knows it. */
  readonly own: string
}

/** Takes a URI or a URI template. */
export const namespacedUri = (alias: string, own: string): string =>
  own.startsWith(uiScheme) ? `${ui}${alias}/${own.slice(uiScheme.length)}` : `${general}${alias}/${own}`

/** Whether it has the shape of a namespaced URI. Such a one is never shown bare where it could be taken for one of ours. */
export const isNamespaced = (uri: string): boolean => uri.startsWith(general) || uri.startsWith(ui)

/** Undoes `namespacedUri`, whether or not there is such an alias. */
export function parseNamespaced(uri: string): UriRoute | undefined {
  const [prefix, scheme] = uri.startsWith(general) ? [general, ''] : uri.startsWith(ui) ? [ui, uiScheme] : []
  if (prefix === undefined) return undefined
  const slash = uri.indexOf('/', prefix.length)
  if (slash <= prefix.length) return undefined
  return { alias: uri.slice(prefix.length, slash), own: scheme + uri.slice(slash + 1) }
}

/** The scheme of a URI or URI template in lower case; undefined where it has none that can be read. */
export function schemeOf(uri: string): string | undefined {
  const colon = uri.indexOf(':')
  if (colon <= 0 || colon > 64) return undefined
  const scheme = uri.slice(0, colon)
  return /^[A-Za-z][A-Za-z0-9+.-]*$/.test(scheme) ? scheme.toLowerCase() : undefined
}

/** What is no escape, or none of UTF-8, stands as it is, as most servers have it. Nothing is thrown: that is slow, and a client's choice. */
const decoded = (uri: string): string =>
  uri.replace(/(?:%[0-9a-f]{2})+/gi, escapes => {
    const bytes = Buffer.from(escapes.replaceAll('%', ''), 'hex')
    return isUtf8(bytes) ? bytes.toString() : escapes.replace(/%[0-7]./g, ascii => String.fromCharCode(parseInt(ascii.slice(1), 16)))
  })

/** `.` and `..` followed and slashes joined behind `head`. */
function followed(head: string, path: string): string {
  const kept: string[] = []
  const segments = path.split(/[/\\]+/)
  const isRooted = segments.length > 1 && segments[0] === ''
  for (const each of segments) {
    if (each === '..') kept.pop()
    else if (each !== '.' && each !== '') kept.push(each)
  }
  const isFolder = kept.length > 0 && /^\.{0,2}$/.test(segments.at(-1) as string)
  return `${head.toLowerCase()}${isRooted ? '/' : ''}${kept.join('/')}${isFolder ? '/' : ''}`
}

/** What those see who take all behind the scheme for a path, as servers with a scheme of their own do; with a query or without. */
function asPaths(uri: string): string[] {
  const [whole, head = '', path = '', rest = ''] = /^((?:[a-z][a-z0-9+.-]*:)?(?:\/\/)?)([^?#]*)(.*)$/is.exec(uri) as RegExpExecArray
  return [followed(head, whole.slice(head.length)), followed(head, path) + rest]
}

/**
 * What a server may take a URI for that it is asked to read: escapes undone, `.` and `..` followed, scheme and host in lower
 * case (RFC 3986, 6.2.2), and the slashes of a path as an operating system sees them. The URI itself comes first.
 */
export function spellingsOf(uri: string): ReadonlySet<string> {
  const all = new Set([uri])
  for (const text of [uri, decoded(uri)]) {
    for (const each of asPaths(text)) all.add(each).add(decoded(each))
    if (!URL.canParse(text)) continue
    const { href, protocol, pathname } = new URL(text)
    const meant = protocol === 'file:' ? [href, `file://${pathname.replace(/\/{2,}/g, '/')}`] : [href]
    for (const each of meant) all.add(each).add(decoded(each))
  }
  return all
}

/** Without what names no other resource: a fragment (RFC 3986, 3.5), and a last slash, which paths of operating systems lose. */
export function stemOf(uri: string): string {
  const [stem = ''] = uri.split('#', 1)
  return stem.endsWith('/') ? stem.slice(0, -1) : stem
}

/** Whether following a URI's path may lead out of where it seems to be. */
export const climbs = (uri: string): boolean => /[/\\]\.\.?(?:[/\\?#]|$)/.test(decoded(uri))
