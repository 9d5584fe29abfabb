/**
 * Every failure we report. A closed list of codes, each with what to do; converted in exactly two places: an era's
 * client side (to JSON-RPC) and main.ts (to an exit code). Nobody matches on text.
 */

/** JSON-RPC error object as it stands on the wire; unknown keys are kept. */
export interface RpcError {
  code: number
  message: string
  data?: unknown
  [key: string]: unknown
}

export const rpcCodes = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internal: -32603,
} as const

/** Stable codes, each with the JSON-RPC code it becomes and the exit code it means for a command. */
const codes = {
  // What a caller did.
  INVALID_REQUEST: [rpcCodes.invalidRequest, 1],
  INVALID_PARAMS: [rpcCodes.invalidParams, 1],
  ENVELOPE_INVALID: [rpcCodes.invalidParams, 1],
  METHOD_NOT_FOUND: [rpcCodes.methodNotFound, 1],
  UNKNOWN_NAME: [rpcCodes.invalidParams, 1],
  DUPLICATE_ID: [rpcCodes.invalidRequest, 1],
  STATE_INVALID: [rpcCodes.invalidParams, 1],
  CANCELLED: [rpcCodes.internal, 130],
  CLIENT_GONE: [rpcCodes.internal, 1],
  // What became of a backend.
  BACKEND_ERROR: [rpcCodes.internal, 1],
  BACKEND_DIED: [rpcCodes.internal, 1],
  BACKEND_TIMEOUT: [rpcCodes.internal, 1],
  BACKEND_BUSY: [rpcCodes.internal, 1],
  BACKEND_UNAVAILABLE: [rpcCodes.internal, 1],
  BACKEND_START_FAILED: [rpcCodes.internal, 1],
  BACKEND_PROTOCOL: [rpcCodes.internal, 1],
  BACKEND_HTTP: [rpcCodes.internal, 1],
  BACKEND_NEEDS_AUTH: [rpcCodes.internal, 5],
  MESSAGE_TOO_LARGE: [rpcCodes.internal, 1],
  // What a server asked of a client.
  ASK_REFUSED: [rpcCodes.internal, 1],
  ASK_UNSUPPORTED: [rpcCodes.invalidRequest, 1],
  TOO_MANY_ROUNDS: [rpcCodes.internal, 1],
  // What a person configured or typed.
  USAGE: [rpcCodes.internal, 2],
  CONFIG_NOT_FOUND: [rpcCodes.internal, 2],
  CONFIG_INVALID: [rpcCodes.internal, 2],
  CREDENTIALS_UNSAFE: [rpcCodes.internal, 2],
  CREDENTIALS_INVALID: [rpcCodes.internal, 2],
  CLIENT_CONFIG_INVALID: [rpcCodes.internal, 2],
  CLIENT_CONFIG_UNSAFE: [rpcCodes.internal, 2],
  CLIENT_CONFIG_CHANGED: [rpcCodes.internal, 1],
  NOT_RUNNING: [rpcCodes.internal, 4],
  LISTEN_FAILED: [rpcCodes.internal, 1],
  DEGRADED: [rpcCodes.internal, 3],
  SHUTTING_DOWN: [rpcCodes.internal, 1],
  // What became of the shared background process.
  DAEMON_DIED: [rpcCodes.internal, 1],
  DAEMON_HELD: [rpcCodes.internal, 6],
  INTERNAL: [rpcCodes.internal, 1],
} as const satisfies Record<string, readonly [number, number]>

export type ErrorCode = keyof typeof codes
export const errorCodes = Object.keys(codes) as ErrorCode[]

export interface ErrorDetails {
  /** What to do about it. */
  hint?: string | undefined
  cause?: unknown
  /** Alias of the backend concerned. */
  backend?: string | undefined
  retryAfterMs?: number | undefined
  /** What the server last wrote for people: perhaps about another's call, so whoever tells it must know who listens. */
  lastWords?: string | undefined
  /** The wire error this stands for, passed on as it came. */
  rpc?: RpcError | undefined
  /** Client capabilities without which the call cannot be served, as a `ClientCapabilities` object. */
  requires?: { [key: string]: unknown } | undefined
  /** Problems of a file, for commands that print them. */
  problems?: readonly object[] | undefined
}

export class McpError extends Error {
  override readonly name = 'McpError'
  readonly code: ErrorCode
  readonly details: ErrorDetails

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.details = details
  }

  get exitCode(): number {
    return codes[this.code][1]
  }

  /**
   * The JSON-RPC error object for a peer: the backend's own error as it came, else our number with
   * `data: {code, backend?, retryAfterMs?, hint?}`. Never a stack trace or a cause.
   */
  toRpc(): RpcError {
    if (this.details.rpc) return this.details.rpc
    const { backend, retryAfterMs, hint } = this.details
    const data: Record<string, unknown> = { code: this.code }
    if (backend !== undefined) data['backend'] = backend
    if (retryAfterMs !== undefined) data['retryAfterMs'] = retryAfterMs
    if (hint !== undefined) data['hint'] = hint
    return { code: codes[this.code][0], message: this.message, data }
  }
}

/** An error a backend answered with, to be passed on unchanged. */
export const backendError = (rpc: RpcError, backend?: string): McpError =>
  new McpError('BACKEND_ERROR', rpc.message, { rpc, backend })

/** Anything thrown, as an McpError; what we did not foresee becomes INTERNAL with no text of its own. */
export const toMcpError = (thrown: unknown): McpError =>
  thrown instanceof McpError ? thrown : new McpError('INTERNAL', 'internal error', { cause: thrown })
