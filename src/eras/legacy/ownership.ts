/**
 * Who owns things a legacy server names by id: tasks and url elicitations. Bounded; the oldest is forgotten first.
 */
import { CancelSource } from '../../gateway/cancellation.ts'
import type { JsonObject } from '../../gateway/contract.ts'
import { isObject } from '../asks.ts'
import type { OpenCall } from './open-call.ts'

const limit = 1024
export const relatedTask = 'io.modelcontextprotocol/related-task'
const terminal: ReadonlySet<unknown> = new Set(['completed', 'failed', 'cancelled'])

export interface TaskOwner {
  readonly taskId: string
  /** The client whose call created the task. */
  readonly clientId: string
  /** The call that waits for the task here; undefined when the client looks after the task itself. */
  readonly open: OpenCall | undefined
  /** Our request that created it: its progress token lives as long as the task. */
  readonly token: string | number | undefined
  readonly progress: ((params: JsonObject) => void) | undefined
}

export interface ElicitationOwner {
  readonly clientId: string
  /** Fires when the server says that what the person was sent to do is done. */
  readonly completed: CancelSource
}

export class Ownership {
  private readonly tasks = new Map<string, TaskOwner>()
  /** Tasks that clients look after themselves and whose end nobody has told us. */
  private readonly open = new Map<string, true>()
  private readonly tokens = new Map<string | number, TaskOwner>()
  private readonly elicitations = new Map<string, ElicitationOwner>()

  addTask(owner: TaskOwner): void {
    remember(this.tasks, owner.taskId, owner)
    if (!owner.open) remember(this.open, owner.taskId, true)
    if (owner.token !== undefined && owner.progress) remember(this.tokens, owner.token, owner)
  }

  get unfinished(): boolean {
    return this.open.size > 0
  }

  task(taskId: unknown): TaskOwner | undefined {
    return typeof taskId === 'string' ? this.tasks.get(taskId) : undefined
  }

  /** The owner of the task that params say they belong to (2025-11-25 basic/utilities/tasks, related messages). */
  related(params: JsonObject | undefined): TaskOwner | undefined {
    const meta = params?.['_meta']
    const related = isObject(meta) ? meta[relatedTask] : undefined
    return isObject(related) ? this.task(related['taskId']) : undefined
  }

  /** Takes a task's status; a task that has ended makes no more progress. */
  status(params: JsonObject | undefined): TaskOwner | undefined {
    const owner = this.task(params?.['taskId'])
    if (!owner || !terminal.has(params?.['status'])) return owner
    this.open.delete(owner.taskId)
    if (owner.token !== undefined) this.tokens.delete(owner.token)
    return owner
  }

  /** Progress of a task after its creation was answered. Returns whether it was one's. */
  progress(params: JsonObject): boolean {
    const { progressToken, ...rest } = params
    const owner = this.tokens.get(progressToken as string)
    owner?.progress?.(rest)
    return owner !== undefined
  }

  addElicitation(elicitationId: string, clientId: string): void {
    if (this.elicitations.has(elicitationId)) return
    remember(this.elicitations, elicitationId, { clientId, completed: new CancelSource() })
  }

  elicitation(elicitationId: unknown): ElicitationOwner | undefined {
    return typeof elicitationId === 'string' ? this.elicitations.get(elicitationId) : undefined
  }
}

export const isTerminal = (status: unknown): boolean => terminal.has(status)

function remember<K, V>(map: Map<K, V>, key: K, value: V): void {
  map.set(key, value)
  if (map.size > limit) map.delete(map.keys().next().value as K)
}
