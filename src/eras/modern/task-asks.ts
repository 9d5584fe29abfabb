/** What a task asks for before it goes on (tasks extension, "Task Update Requests"), wherever it stands: in its server’s name. */
import type { Ask, JsonObject } from '../../gateway/contract.ts'
import { isObject, labelled } from '../asks.ts'

/** The task, or what tells of it, with `[from] ` in front of what a person is shown. Whatever else it holds stays. */
export function labelledTask(task: JsonObject, from: string): JsonObject {
  const asks = task['inputRequests']
  if (!isObject(asks)) return task
  // Not key by key: the server chooses the keys, and one of them may be `__proto__`.
  const told = Object.entries(asks).map(([key, ask]) => [key, isObject(ask) ? labelled(ask as unknown as Ask, from) : ask])
  return { ...task, inputRequests: Object.fromEntries(told) as JsonObject }
}
