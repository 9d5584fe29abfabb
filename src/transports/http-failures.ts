/**
 * What goes wrong between us and a remote server, in our own words: broken connections, TLS, HTTP statuses. Owns the
 * code and the hint of each; nothing a server wrote gets into a text from here.
 */
import { McpError } from '../gateway/errors.ts'

const unresolved = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EAI_NODATA', 'EAI_NONAME'])
const unreachable = new Set(['EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN', 'EADDRNOTAVAIL', 'EACCES', 'EPERM'])
const broken = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'UND_ERR_SOCKET', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH'])
const untrusted = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'CERT_UNTRUSTED', 'CERT_REJECTED', 'INVALID_CA',
])

/** An unreachable host is one failure, whichever of its addresses were tried. */
const codeOf = (thrown: unknown): string => {
  const { code, errors } = thrown as { code?: unknown; errors?: readonly { code?: unknown }[] }
  const first = code ?? errors?.[0]?.code
  return typeof first === 'string' ? first : ''
}

const failure = (text: string, hint: string | undefined, cause: unknown): McpError => new McpError('BACKEND_HTTP', text, { hint, cause })

/**
 * A failed exchange as an McpError. BACKEND_HTTP where the request was certainly not carried out; BACKEND_DIED where the
 * connection broke after it was sent; BACKEND_PROTOCOL where what came back was no HTTP.
 */
export function exchangeFailure(thrown: unknown): McpError {
  if (thrown instanceof McpError) return thrown
  const code = codeOf(thrown)
  if (code === 'ECONNREFUSED')
    return failure('the server cannot be reached: the connection was refused', 'is it running, and is the port of its url right?', thrown)
  if (unresolved.has(code)) return failure('the host name of the server cannot be resolved', 'check its url, and the network', thrown)
  if (unreachable.has(code)) return failure('there is no way to the server in this network', 'check its url, and the network', thrown)
  if (code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT')
    return failure('the server did not take the connection in time', 'check its url, and timeouts.connect', thrown)
  const tls = tlsFailure(code, thrown)
  if (tls) return tls
  if ((thrown as Error).name === 'HTTPParserError' || code === 'UND_ERR_HEADERS_OVERFLOW')
    return new McpError('BACKEND_PROTOCOL', 'the server did not answer in HTTP', { cause: thrown, hint: 'check the scheme and the port of its url' })
  if (code === 'UND_ERR_INVALID_ARG')
    return new McpError('BACKEND_START_FAILED', 'the request to the server cannot be made', { cause: thrown, hint: 'check its url and its headers' })
  const proxy = /proxy response \((\d{3})\)|Proxy response \((\d{3})\)/.exec((thrown as Error).message ?? '')
  if (proxy) {
    const status = proxy[1] ?? (proxy[2] as string)
    return failure(`the proxy on the way answered ${status}`, status === '407' ? proxyHint : 'check HTTP_PROXY, HTTPS_PROXY and NO_PROXY', thrown)
  }
  if (broken.has(code)) return died('the connection to the server broke before it had answered', thrown)
  return died('the exchange with the server failed before it had answered', thrown)
}

const proxyHint = 'it wants credentials, or others: they stand in HTTP_PROXY or HTTPS_PROXY before the host, with %40 for an @ in them'

export const died = (text: string, cause?: unknown): McpError => new McpError('BACKEND_DIED', text, { cause })

function tlsFailure(code: string, cause: unknown): McpError | undefined {
  if (code === 'CERT_HAS_EXPIRED') return failure('the certificate of the server has expired', 'its owner has to renew it', cause)
  if (code === 'CERT_NOT_YET_VALID') return failure('the certificate of the server is not valid yet', 'is the clock of this machine right?', cause)
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return failure('the certificate of the server is for another host', 'use the host name the certificate was made for', cause)
  if (untrusted.has(code))
    return failure('the certificate of the server is signed by nobody we trust', 'name the file of its authority: caFile, or NODE_EXTRA_CA_CERTS', cause)
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_') || code.startsWith('CERT_'))
    return failure('no secure connection to the server could be made', 'does its url need http:// in place of https://?', cause)
  return undefined
}

const known: Readonly<Record<number, string>> = {
  400: 'Bad Request', 404: 'Not Found', 405: 'Method Not Allowed', 406: 'Not Acceptable', 407: 'Proxy Authentication Required',
  408: 'Request Timeout', 410: 'Gone', 413: 'Content Too Large', 415: 'Unsupported Media Type', 421: 'Misdirected Request',
  429: 'Too Many Requests', 431: 'Header Fields Too Large', 500: 'Internal Server Error', 502: 'Bad Gateway',
  503: 'Service Unavailable', 504: 'Gateway Timeout',
}

/** Statuses that tell of the way or of the moment, never of what the server can do. */
const passing = new Set([407, 408, 421, 425, 429])

/** An HTTP status that is no answer. `retryAfter`: that header field as it came. */
export function statusFailure(status: number, retryAfter: string | undefined): McpError {
  const said = known[status] === undefined ? `${status}` : `${status} ${known[status]}`
  if (status === 401)
    return new McpError('BACKEND_NEEDS_AUTH', 'the server wants to know who we are (401)', { hint: 'give it credentials: headers with ${cred:NAME}' })
  if (status === 403)
    return new McpError('BACKEND_NEEDS_AUTH', 'the server does not let us in (403)', { hint: 'check the credentials in its headers, and what they allow' })
  const retryAfterMs = readRetryAfter(retryAfter)
  if (status >= 500 || passing.has(status)) {
    const hint = status === 407 ? `is there a proxy on the way? ${proxyHint}` : undefined
    return new McpError('BACKEND_HTTP', `the server answered ${said}`, { retryAfterMs, hint })
  }
  const code = status === 413 ? 'MESSAGE_TOO_LARGE' : 'BACKEND_PROTOCOL'
  return new McpError(code, `the server answered ${said}`, { hint: status === 404 || status === 405 ? 'check the path of its url' : undefined })
}

const longestRetryMs = 24 * 3600_000

/** Seconds or a date (RFC 9110, 10.2.3) as milliseconds from now. */
export function readRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isFinite(ms) ? Math.min(Math.max(0, Math.ceil(ms)), longestRetryMs) : undefined
}

/** An answer of a type that carries no message. Only well-formed types are quoted. */
export function typeFailure(status: number, type: string): McpError {
  if (type === '') return new McpError('BACKEND_PROTOCOL', `the server answered ${status} with nothing in it`, { hint: 'check the path of its url' })
  const isPage = type === 'text/html' || type === 'application/xhtml+xml'
  const what = isPage ? `a web page (${type})` : /^[\w.+-]{1,60}\/[\w.+-]{1,60}$/.test(type) ? type : 'something of no known type'
  return new McpError('BACKEND_PROTOCOL', `the server answered ${status} with ${what} where JSON or an event stream belongs`, {
    hint: isPage ? 'is this the url of the MCP endpoint, or of a page about it? A sign-in page may also stand in between' : 'check the path of its url',
  })
}
