/**
 * The per-request fields as a server of this era wants them, built once per client profile (2026-07-28 basic/index,
 * "_meta"). A server is told exactly what this call's client declared: it would ask for what it believes possible.
 */
import type { ClientProfile, JsonObject } from '../../gateway/contract.ts'
import { isObject } from '../asks.ts'
import { metaKeys } from './wire.ts'

/** Writes the fields for one server at one revision. */
export class Envelopes {
  private readonly built = new WeakMap<ClientProfile, JsonObject>()
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
    let fields = this.built.get(client)
    if (!fields) {
      fields = {
        [metaKeys.version]: this.version,
        [metaKeys.client]: client.info ?? this.self,
        [metaKeys.capabilities]: this.capabilities(client),
        ...(client.logLevel === undefined ? {} : { [metaKeys.logLevel]: client.logLevel }),
      }
      this.built.set(client, Object.freeze(fields))
    }
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
