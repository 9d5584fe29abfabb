/**
 * Errors at the edges of this era: which number a failure gets on the wire to a client, and what a server's reserved
 * numbers mean to the middle. Those numbers describe one hop, so none is ever relayed (2026-07-28 basic/index).
 */
import type { JsonObject } from '../../gateway/contract.ts'
import { backendError, McpError, rpcCodes, toMcpError, type RpcError } from '../../gateway/errors.ts'
import { isObject, quoted, undeclared } from '../asks.ts'
import {
  headerMismatch,
  isReservedCode,
  missingCapability,
  resourceNotFoundBefore,
  unsupportedVersion,
  urlElicitationBefore,
} from './wire.ts'

/** The failure of a call as this era's clients are told. */
export function toClient(thrown: unknown): McpError {
  const error = toMcpError(thrown)
  const { requires, rpc, backend } = error.details
  const told = (rpc: RpcError) => new McpError(error.code, rpc.message, { rpc, backend, cause: error })
  if (requires) return told({ code: missingCapability, message: error.message, data: { requiredCapabilities: requires } })
  // Without a cause of ours behind it, a reserved number was made elsewhere and means another hop.
  if (!rpc || error.code !== 'BACKEND_ERROR') return error
  if (rpc.code === resourceNotFoundBefore) return told({ ...rpc, code: rpcCodes.invalidParams })
  if (!Number.isInteger(rpc.code) || isReservedCode(rpc.code) || rpc.code === urlElicitationBefore)
    return told(new McpError(error.code, quoted(rpc.message), { backend }).toRpc())
  return error
}

/** What a server answered, as the middle is told. `declared`: the capabilities it had been told. */
export function fromServer(error: McpError, backend: string, declared: JsonObject): McpError {
  const { rpc } = error.details
  if (error.code !== 'BACKEND_ERROR' || !rpc) return error
  const said = `${backend}: ${quoted(String(rpc.message))}`
  switch (rpc.code) {
    case missingCapability: {
      const required = isObject(rpc.data) ? rpc.data['requiredCapabilities'] : undefined
      const requires = isObject(required) ? undeclared(required, declared) : undefined
      // It speaks of our request. Only what the client itself lacks is the client's to mend.
      return new McpError(requires ? 'ASK_UNSUPPORTED' : 'BACKEND_PROTOCOL', said, { backend, requires, cause: error })
    }
    case headerMismatch:
    case unsupportedVersion:
      return new McpError('BACKEND_PROTOCOL', said, { backend, cause: error })
    default:
      return backendError(rpc, backend)
  }
}
