/**
 * Who may speak to the listener at all: the Host and Origin allow-lists, repeated header fields, the bearer token, and the
 * form of a POST. Pure but for its memory of good hosts; answers nothing itself.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { refusal, type Refusal } from './http-body.ts'

export interface GuardOptions {
  /** Names and addresses besides loopback's and that of the socket itself, each with or without a port. */
  readonly hosts: readonly string[]
  /** Origins of web pages besides our own. */
  readonly origins: readonly string[]
  readonly secure: boolean
}

export interface Guard {
  /** What is wrong with where the request comes from; undefined = nothing. */
  check(request: IncomingMessage): Refusal | undefined
  /** Whether a page of this origin, which is not ours, may read answers. */
  isForeign(origin: string | undefined): boolean
}

/** RFC 9110 §7.2, without the parts no client of ours needs: user info, escapes, a trailing dot. */
const hostGrammar = /^(\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)(?::[0-9]{1,5})?$/
const loopback = ['localhost', '127.0.0.1', '[::1]']
const maxRemembered = 64
/** Fields of which two would leave it open which one counts. */
const single: ReadonlySet<string> = new Set([
  'host', 'authorization', 'origin', 'content-type', 'content-length', 'content-encoding', 'last-event-id',
])

export function createGuard({ hosts, origins, secure }: GuardOptions): Guard {
  const allowed = new Set([...loopback, ...hosts.map(host => host.toLowerCase())])
  const foreign = new Set(origins.map(origin => origin.toLowerCase().replace(/\/$/, '')))
  const scheme = secure ? 'https' : 'http'
  const good = new Set<string>()

  function isHost(host: string, request: IncomingMessage): boolean {
    if (good.has(host)) return true
    const name = hostGrammar.exec(host.toLowerCase())?.[1]
    if (name === undefined) return false
    if (!allowed.has(name) && !allowed.has(host.toLowerCase())) {
      // A page can be made to resolve any name to us, but not an address: one that is our own was meant (DNS rebinding).
      return name === bracketed(request.socket.localAddress)
    }
    if (good.size < maxRemembered) good.add(host)
    return true
  }

  return {
    check(request) {
      const repeated = repeatedField(request.rawHeaders)
      if (repeated !== undefined) return refusal(400, `the header field ${repeated} was sent twice`)
      const { host, origin } = request.headers
      if (host === undefined) return refusal(400, 'the Host is missing')
      if (!isHost(host, request)) return refusal(403, 'this Host is not allowed')
      if (origin === undefined) return isOfOtherPage(request) ? refusal(403, 'pages of other origins must name theirs') : undefined
      const from = origin.toLowerCase()
      if (from === `${scheme}://${host.toLowerCase()}` || foreign.has(from)) return undefined
      return refusal(403, 'this Origin is not allowed')
    },
    isForeign: origin => origin !== undefined && foreign.has(origin.toLowerCase()),
  }
}

/**
 * A GET that a page does not want to read (an image, a frame, `no-cors`) has no Origin; browsers say then where it comes from
 * (Fetch Metadata), and nobody else says anything. A page could not read the answer, but it would have its effect.
 */
function isOfOtherPage({ headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site']
  return site !== undefined && site !== 'none' && site !== 'same-origin'
}

function bracketed(address: string | undefined): string | undefined {
  const plain = address?.startsWith('::ffff:') ? address.slice(7) : address
  return plain?.includes(':') ? `[${plain}]` : plain
}

/** Fields of the protocol count too: what is between us and the client may have believed the other one. */
function repeatedField(raw: readonly string[]): string | undefined {
  let seen: string[] | undefined
  for (let index = 0; index < raw.length; index += 2) {
    const name = (raw[index] as string).toLowerCase()
    if (!name.startsWith('mcp-') && !single.has(name)) continue
    if (!seen) seen = [name]
    else if (seen.includes(name)) return name
    else seen.push(name)
  }
  return undefined
}

/** Says who bears a token; undefined = nobody we know. */
export type Authenticate = (authorization: string | undefined) => string | undefined

const bearer = /^bearer +([\x21-\x7e]+)$/i
const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Tokens to principals. Every token is compared, each in constant time. */
export function bearerTokens(tokens: ReadonlyMap<string, string>): Authenticate {
  const known = [...tokens].map(([token, principal]) => ({ digest: digest(token), principal }))
  return authorization => {
    const given = authorization === undefined ? undefined : bearer.exec(authorization)?.[1]
    if (given === undefined) return undefined
    const mine = digest(given)
    let found: string | undefined
    for (const each of known) if (timingSafeEqual(each.digest, mine)) found = each.principal
    return found
  }
}

const jsonType = /^application\/json[\t ]*(?:;[\t ]*charset[\t ]*=[\t ]*"?utf-8"?[\t ]*)?$/i

/** What is wrong with the form of a POST's body; undefined = nothing. */
export function checkForm({ headers }: IncomingMessage): Refusal | undefined {
  const type = headers['content-type']
  if (type === undefined || (type !== 'application/json' && !jsonType.test(type)))
    return refusal(415, 'the Content-Type must be application/json')
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity')
    return refusal(415, 'the body must not be compressed')
  return undefined
}

/** What nearly every client of the protocol sends, and must send. */
const usualAccept = 'application/json, text/event-stream'

/** Whether an Accept field takes a media type, wildcards and `q=0` included (RFC 9110 §12.5.1). */
export function accepts(field: string | undefined, type: string): boolean {
  if (field === undefined) return true
  if (field === usualAccept && usualAccept.includes(type)) return true
  const group = `${type.slice(0, type.indexOf('/'))}/*`
  let best = -1
  let taken = false
  for (const part of field.split(',')) {
    const [range = '', ...parameters] = part.split(';')
    const name = range.trim().toLowerCase()
    const rank = name === type ? 2 : name === group ? 1 : name === '*/*' ? 0 : -1
    if (rank < 0 || rank < best) continue
    best = rank
    taken = !parameters.some(parameter => /^\s*q\s*=\s*0(\.0*)?\s*$/i.test(parameter))
  }
  return taken
}
