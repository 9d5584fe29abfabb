/**
 * Connections to remote servers: one pool per origin and trust, shared by all who go there, made on first use and let go
 * with its last user. Owns proxies, certificate authorities and what may be connected to; knows no message.
 */
import { readFileSync, unwatchFile, watchFile } from 'node:fs'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { lookup } from 'node:dns'
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls'
import { Pool, type Dispatcher } from 'undici'
import { McpError } from '../gateway/errors.ts'
import { ProxiedAgent, proxyOf, type Environment } from './http-proxy.ts'

export interface PoolOptions {
  /** PEM file of a further certificate authority. */
  readonly caFile?: string | undefined
  /** Limit of opening a connection, milliseconds. */
  readonly connectMs: number
  /** The address was named by a server, not by a person: addresses of private networks are refused. */
  readonly guarded?: boolean | undefined
}

export interface Lease {
  readonly dispatcher: Dispatcher
  release(): void
}

interface Shared {
  readonly dispatcher: Dispatcher
  readonly authorities: Authorities | undefined
  users: number
}

/**
 * Who is trusted with new connections. Made once, since reading all that Node trusts takes 25 ms and 1 MB; its content changes
 * with the file.
 */
interface Authorities {
  readonly secureContext: SecureContext
  forget(): void
}

/** How often a CA file is looked at, milliseconds. */
const lookMs = 1000

export class HttpPools {
  private readonly shared = new Map<string, Shared>()
  private readonly env: Environment

  /** `env`: where proxies and NODE_EXTRA_CA_CERTS are named. */
  constructor(env: Environment = process.env) {
    this.env = env
  }

  /** Throws BACKEND_START_FAILED when the CA file or the proxy cannot be used. */
  take(origin: string, options: PoolOptions): Lease {
    const key = JSON.stringify([origin, options.caFile, options.connectMs, options.guarded === true])
    let shared = this.shared.get(key)
    if (!shared) this.shared.set(key, (shared = { ...this.open(origin, options), users: 0 }))
    const own = shared
    own.users++
    let released = false
    return {
      dispatcher: own.dispatcher,
      release: () => {
        if (released) return
        released = true
        if (--own.users > 0) return
        this.shared.delete(key)
        own.authorities?.forget()
        void own.dispatcher.destroy().catch(() => {})
      },
    }
  }

  private open(origin: string, { caFile, connectMs, guarded }: PoolOptions): Omit<Shared, 'users'> {
    const { hostname, protocol } = new URL(origin)
    if (guarded && isIP(bare(hostname)) !== 0 && isPrivate(bare(hostname))) throw refused()
    const proxy = isLoopback(hostname) ? undefined : proxyOf(protocol, this.env)
    const authorities = caFile === undefined ? undefined : this.authoritiesOf(caFile)
    const trust = authorities && { secureContext: authorities.secureContext }
    // Streams may stay silent for long: what is too long is said elsewhere, per request.
    const common = { headersTimeout: 0, bodyTimeout: 0, maxHeaderSize: 64 * 1024 }
    const connect = { timeout: connectMs, ...trust, ...(guarded && { lookup: guardedLookup }) }
    if (!proxy) return { dispatcher: new Pool(origin, { ...common, connect }), authorities }
    const further = { ...common, connect, ...(trust && { requestTls: trust }) }
    return { dispatcher: new ProxiedAgent(bare(hostname), proxy, this.env, further, guarded ? refusalOf : undefined), authorities }
  }

  /** A given `ca` replaces what Node trusts by itself, so that is named again. */
  private authoritiesOf(caFile: string): Authorities {
    const extra = this.env['NODE_EXTRA_CA_CERTS']
    const others = [...rootCertificates]
    try {
      if (extra) others.push(readPem(extra))
    } catch {
      // Node itself only warns of it.
    }
    const trusting = (pem: string): SecureContext => createSecureContext({ ca: [pem, ...others] })
    const secureContext = trusting(readPem(caFile))
    let again: NodeJS.Timeout | undefined
    const look = (): void => {
      clearTimeout(again)
      try {
        const next = readPem(caFile)
        if (isWhole(next)) Object.assign(secureContext, trusting(next))
      } catch {
        // The old one stays. A file that could not be read (EMFILE, a network mount) need not change to be readable.
        again = setTimeout(look, lookMs).unref()
      }
    }
    watchFile(caFile, { interval: lookMs, persistent: false }, look)
    const forget = (): void => {
      clearTimeout(again)
      unwatchFile(caFile, look)
    }
    return { secureContext, forget }
  }
}

function readPem(file: string): string {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new McpError('BACKEND_START_FAILED', 'the CA file cannot be read', { cause, hint: `check caFile: ${file}` })
  }
  if (!text.includes('-----BEGIN CERTIFICATE-----'))
    throw new McpError('BACKEND_START_FAILED', 'the CA file has no certificate in it', { hint: `a PEM file belongs there: ${file}` })
  return text
}

/** Of half a certificate OpenSSL says nothing, and trusts nobody. */
const isWhole = (pem: string): boolean => pem.lastIndexOf('-----END CERTIFICATE-----') > pem.lastIndexOf('-----BEGIN CERTIFICATE-----')

const bare = (hostname: string): string => hostname.replace(/^\[|\]$/g, '')

/** Own machine: a proxy cannot get there, whatever the environment says. */
const isLoopback = (hostname: string): boolean => hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)

const privateNetworks = new BlockList()
for (const [net, bits] of [
  ['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12], ['192.0.0.0', 24],
  ['192.168.0.0', 16], ['198.18.0.0', 15], ['224.0.0.0', 4], ['240.0.0.0', 4],
] as const)
  privateNetworks.addSubnet(net, bits, 'ipv4')
// The last three carry an IPv4 address inside, which may be any of the above.
for (const [net, bits] of [['::', 127], ['fc00::', 7], ['fe80::', 10], ['ff00::', 8], ['64:ff9b::', 32], ['2002::', 16], ['2001::', 32]] as const)
  privateNetworks.addSubnet(net, bits, 'ipv6')

/** Whether an IP address is of this machine or of a private network. */
export const isPrivate = (address: string): boolean => privateNetworks.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')

const refused = (): McpError =>
  new McpError('BACKEND_HTTP', 'the server sent us on to an address of a private network', { hint: 'if that is right, use that url itself' })

const refusalOf = (addresses: readonly { readonly address: string }[]): McpError | undefined =>
  addresses.some(({ address }) => isPrivate(address)) ? refused() : undefined

/** Checks what is connected to, so that a name cannot mean one address for the check and another afterwards. */
const guardedLookup: LookupFunction = (hostname, options, done) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return done(error, '', 4)
    const refusal = refusalOf(addresses)
    if (refusal) return done(refusal as unknown as NodeJS.ErrnoException, '', 4)
    if (options.all) return done(null, addresses)
    const [first] = addresses
    if (first) done(null, first.address, first.family)
    else done(refused() as unknown as NodeJS.ErrnoException, '', 4)
  })
}
