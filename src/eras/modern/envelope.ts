/**
 * The per-request fields as a server of this era wants them, built once per client profile (2026-07-28 basic/index,
 * "_meta"). A server is told exactly what this call's client declared: it would ask for what it believes possible.
 */
import type { ClientProfile, JsonObject, LogLevel } from '../../gateway/contract.ts'
import { isObject } from '../asks.ts'
import { metaKeys } from './wire.ts'

interface Built {
  readonly info: JsonObject | undefined
  readonly logLevel: LogLevel | undefined
  readonly fields: JsonObject
}

/** Writes the fields for one server at one revision. */
export class Envelopes {
  /** By what the client declared, which lasts where its profile is of one request only. */
  private readonly built = new WeakMap<JsonObject, Built>()
  private readonly version: string
  private readonly self: JsonObject
  private readonly answersRoots: boolean

  /** `self` names the client where it does not name itself. `answersRoots`: we know the roots, whatever the client can. */
  constructor(version: string, self: JsonObject, answersRoots: boolean) {
    this.version = version
    this.self = self
    this.answersRoots = answersRoots
  }

  of(client: ClientProfile): JsonObject {
    const { info, capabilities, logLevel } = client
    const known = this.built.get(capabilities)
    if (known && known.info === info && known.logLevel === logLevel) return known.fields
    const fields = Object.freeze({
      [metaKeys.version]: this.version,
      [metaKeys.client]: info ?? this.self,
      [metaKeys.capabilities]: this.capabilities(client),
      ...(logLevel === undefined ? {} : { [metaKeys.logLevel]: logLevel }),
    })
    this.built.set(capabilities, { info, logLevel, fields })
    return fields
  }

  /** What the server is told the client can do: all it declared, without what only a handshake could carry out. */
  capabilities(client: ClientProfile): JsonObject {
    const { tasks: _tasks, roots, ...rest } = client.capabilities
    if (!isObject(roots)) return this.answersRoots ? { ...rest, roots: {} } : rest
    const { listChanged: _listChanged, ...known } = roots
    return { ...rest, roots: known }
  }

  /** A request's params with the fields on. */
  onto(params: JsonObject, client: ClientProfile): JsonObject {
    const fields = this.of(client)
    const meta = params['_meta']
    // This way round: V8 takes a slow path for keys that come after a spread, at the cost of everything else here.
    if (meta === undefined) return { _meta: fields, ...params }
    return { ...params, _meta: isObject(meta) ? { ...meta, ...fields } : fields }
  }
}
