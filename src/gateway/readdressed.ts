/** A call as its owner is to get it. Key by key: a spread that brings new keys costs V8 as much as the rest of the way. */
import type { Call, JsonObject } from './contract.ts'

export const readdressed = (call: Call, params: JsonObject, log: Call['log'], requestState: string | undefined): Call => ({
  method: call.method,
  params,
  client: call.client,
  cancellation: call.cancellation,
  progress: call.progress,
  log,
  inputResponses: call.inputResponses,
  requestState,
  continues: call.continues,
  extra: call.extra,
})
