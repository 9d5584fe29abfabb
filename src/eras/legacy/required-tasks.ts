/**
 * Tools that a legacy server runs only as tasks, for clients that know no tasks of this kind: creates the task, waits
 * for its end and returns what the tool returned (2025-11-25 basic/utilities/tasks).
 */
import type { Call, JsonObject } from '../../gateway/contract.ts'
import { isObject } from '../asks.ts'
import type { Answer } from '../peer.ts'
import type { Desk, OpenCall } from './open-call.ts'
import { isTerminal, relatedTask, type Ownership } from './ownership.ts'
import { pause } from './pause.ts'
import { holdsOpen } from './wire.ts'

const pollMs = { usual: 500, least: 20, most: 30_000 }
/** A list that never ends is not asked for more pages than this. */
const maxPages = 64

export class RequiredTasks {
  private readonly desk: Desk
  private readonly ownership: Ownership
  private readonly canCancel: boolean
  private names: Set<string> | undefined

  private constructor(desk: Desk, ownership: Ownership, tasks: JsonObject) {
    this.desk = desk
    this.ownership = ownership
    this.canCancel = isObject(tasks['cancel'])
  }

  /** Undefined where the server runs no tool as a task. */
  static of(desk: Desk, ownership: Ownership, capabilities: JsonObject): RequiredTasks | undefined {
    const { tasks } = capabilities
    if (!isObject(tasks) || !isObject(tasks['requests'])) return undefined
    const { tools } = tasks['requests']
    return isObject(tools) && isObject(tools['call']) ? new RequiredTasks(desk, ownership, tasks) : undefined
  }

  /** Whether the tool may have to be run as a task on the client's behalf: clients of the same revision do it themselves. */
  concerns(call: Call): boolean {
    if (call.method !== 'tools/call' || call.params['task'] !== undefined) return false
    return !(holdsOpen(call.client) && call.client.revision >= '2025-11-25')
  }

  /** Takes a page of the tool list. */
  learn(params: JsonObject, result: JsonObject): void {
    if (params['cursor'] === undefined || !this.names) this.names = new Set()
    const tools = result['tools']
    if (!Array.isArray(tools)) return
    for (const tool of tools)
      if (isObject(tool) && isObject(tool['execution']) && tool['execution']['taskSupport'] === 'required')
        this.names.add(String(tool['name']))
  }

  async run(open: OpenCall): Promise<Answer> {
    const { params } = open.first
    if (!(await this.isRequired(open, String(params['name'])))) return open.send(params)
    const created = await open.send({ ...params, task: {} })
    const { task } = created.result
    if (!isObject(task) || typeof task['taskId'] !== 'string') return created
    const { taskId } = task
    this.ownership.addTask({ taskId, clientId: open.first.client.id, open, token: open.id, progress: open.progress })
    try {
      await this.wait(open, taskId, task)
      return unrelated(await open.follow('tasks/result', { taskId }))
    } catch (error) {
      if (open.cancelled && this.canCancel)
        this.desk.peer.request('tasks/cancel', { taskId }, { headers: open.headers }).catch(() => {})
      throw error
    }
  }

  /** Until the task has ended, or asks: its asks come while the result is waited for. */
  private async wait(open: OpenCall, taskId: string, task: JsonObject): Promise<void> {
    let state = task
    while (!isTerminal(state['status']) && state['status'] !== 'input_required') {
      const interval = state['pollInterval']
      const ms = typeof interval === 'number' ? Math.min(Math.max(interval, pollMs.least), pollMs.most) : pollMs.usual
      await pause(ms, open)
      state = (await open.follow('tasks/get', { taskId })).result
    }
  }

  /** The list tells; where nobody has fetched it on this connection, it is fetched once. */
  private async isRequired(open: OpenCall, name: string): Promise<boolean> {
    if (this.names) return this.names.has(name)
    let params: JsonObject = {}
    for (let page = 0; page < maxPages; page++) {
      const { result } = await open.follow('tools/list', params)
      this.learn(params, result)
      const cursor = result['nextCursor']
      if (typeof cursor !== 'string') break
      params = { cursor }
    }
    return this.names!.has(name)
  }
}

/** The client knows of no task, so its result must not speak of one. */
function unrelated(answer: Answer): Answer {
  const { _meta, ...result } = answer.result
  if (!isObject(_meta) || _meta[relatedTask] === undefined) return answer
  const { [relatedTask]: _, ...meta } = _meta
  return { ...answer, result: Object.keys(meta).length > 0 ? { ...result, _meta: meta } : result }
}
