/**
 * The per-request fields as a client sends them, read into a ClientProfile: checked each time, made once, since clients
 * repeat themselves (2026-07-28 basic/index, "_meta"). Must not infer anything from earlier requests.
 */
import { logLevels, type ClientProfile, type JsonObject, type LogLevel } from '../../gateway/contract.ts'
import { McpError } from '../../gateway/errors.ts'
import { isObject } from '../asks.ts'
import { envelopeKeys, metaKeys, revisions, unsupportedVersion } from './wire.ts'

/** Profiles kept per connection; a client seldom has more than one or two faces. */
const maxProfiles = 8
/** Characters of a declaration worth keeping. */
const maxDeclared = 4096

export interface Faces {
  /** Who sends what carries no fields of its own. */
  readonly latest: ClientProfile
  /** Throws ENVELOPE_INVALID for a missing or misshapen field and -32022 for a revision that is not ours. */
  read(params: JsonObject | undefined): ClientProfile
}

type Declared = Pick<RequestFields, 'capabilities' | 'info'>

let strangers = 0

/**
 * Requests of which nobody knows whether they come from the same client: each has an id of its own, so that nothing meant
 * for one can reach another. What must last longer is kept for the principal.
 */
export class Strangers implements Faces {
  private readonly principal: string
  private readonly home: string
  /** What was declared lately, the latest first. */
  private readonly declared: Declared[] = []

  constructor(principal: string) {
    this.principal = principal
    this.home = `stateless ${principal}`
  }

  get latest(): ClientProfile {
    const nothing = { version: revisions[0] as string, capabilities: {}, info: undefined, level: undefined }
    return this.profile(nothing, nothing)
  }

  read(params: JsonObject | undefined): ClientProfile {
    const fields = readFields(params)
    return this.profile(fields, this.shared(fields))
  }

  /** Equal declarations are one object, so that what is made of them is made once. Nothing else of a request is kept. */
  private shared({ capabilities, info }: RequestFields): Declared {
    const { declared } = this
    for (let index = 0; index < declared.length; index++) {
      const each = declared[index] as Declared
      if (!sameJson(each.capabilities, capabilities) || !sameJson(each.info, info)) continue
      if (index > 0) declared.unshift(...declared.splice(index, 1))
      return each
    }
    const fresh = { capabilities, info }
    if (JSON.stringify(fresh).length > maxDeclared) return fresh
    declared.unshift(fresh)
    declared.length = Math.min(declared.length, maxProfiles)
    return fresh
  }

  private profile({ version, level }: RequestFields, { capabilities, info }: Declared): ClientProfile {
    const { principal, home } = this
    return { id: `request-${++strangers}`, home, principal, info, capabilities, revision: version, logLevel: level }
  }
}

/** The faces one client shows; the same fields give the same object. */
export class Profiles implements Faces {
  private readonly known: ClientProfile[] = []
  private readonly id: string
  private readonly principal: string

  constructor(id: string, principal: string) {
    this.id = id
    this.principal = principal
  }

  /** The last one seen. A client that has said nothing of itself can do nothing. */
  get latest(): ClientProfile {
    return this.known[0] ?? this.profile(revisions[0] as string, {}, undefined, undefined)
  }

  read(params: JsonObject | undefined): ClientProfile {
    const { version, capabilities, info, level } = readFields(params)
    return this.recall(version, capabilities, info, level)
  }

  private recall(version: string, capabilities: JsonObject, info: JsonObject | undefined, level: LogLevel | undefined) {
    const { known } = this
    for (let index = 0; index < known.length; index++) {
      const each = known[index] as ClientProfile
      if (each.logLevel !== level || each.revision !== version) continue
      if (!sameJson(each.capabilities, capabilities) || !sameJson(each.info, info)) continue
      if (index > 0) known.unshift(...known.splice(index, 1))
      return each
    }
    const fresh = this.profile(version, capabilities, info, level)
    known.unshift(fresh)
    known.length = Math.min(known.length, maxProfiles)
    return fresh
  }

  private profile(
    revision: string,
    capabilities: JsonObject,
    info: JsonObject | undefined,
    logLevel: LogLevel | undefined,
  ): ClientProfile {
    return { id: this.id, principal: this.principal, info, capabilities, revision, logLevel }
  }
}

interface RequestFields {
  readonly version: string
  readonly capabilities: JsonObject
  readonly info: JsonObject | undefined
  readonly level: LogLevel | undefined
}

function readFields(params: JsonObject | undefined): RequestFields {
  const meta = params?.['_meta']
  if (!isObject(meta)) throw invalid(`params._meta with ${metaKeys.version} and ${metaKeys.capabilities} is required`)
  const version = meta[metaKeys.version]
  if (typeof version !== 'string') throw invalid(`params._meta["${metaKeys.version}"] must be a string`)
  // Ahead of the other fields: those of a revision we do not know may look different.
  if (!revisions.includes(version)) throw unsupported(version)
  const capabilities = meta[metaKeys.capabilities]
  if (!isObject(capabilities)) throw invalid(`params._meta["${metaKeys.capabilities}"] must be an object`)
  const level = meta[metaKeys.logLevel]
  if (level !== undefined && !logLevels.includes(level as LogLevel))
    throw new McpError('INVALID_PARAMS', `params._meta["${metaKeys.logLevel}"] is no log level`)
  const client = meta[metaKeys.client]
  return { version, capabilities, info: isObject(client) ? client : undefined, level: level as LogLevel | undefined }
}

const invalid = (message: string): McpError => new McpError('ENVELOPE_INVALID', message)

function unsupported(requested: string): McpError {
  const message = 'Unsupported protocol version'
  const rpc = { code: unsupportedVersion, message, data: { supported: [...revisions], requested } }
  return new McpError('INVALID_REQUEST', message, { rpc })
}

/** The `_meta` keys of a request that are not this hop's; undefined when none is left. */
export function travellingMeta(meta: JsonObject): JsonObject | undefined {
  let rest: JsonObject | undefined
  for (const key in meta) {
    if (envelopeKeys.has(key)) continue
    rest ??= {}
    // Assigning this key would set the prototype instead.
    if (key === '__proto__') Object.defineProperty(rest, key, { value: meta[key], enumerable: true })
    else rest[key] = meta[key]
  }
  return rest
}

/** Whether two JSON values are equal; order of keys does not count. */
function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  let keys = 0
  for (const key in a) {
    keys++
    if (!Object.hasOwn(b, key) || !sameJson((a as JsonObject)[key], (b as JsonObject)[key])) return false
  }
  for (const _ in b) keys--
  return keys === 0
}
