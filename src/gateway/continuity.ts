/**
 * Where a backend has several instances, what one of them keeps in its memory must find back to it: the state of a call
 * that asked something is marked with the instance, the ids of tasks are remembered.
 */
import type { Call, Outcome } from './contract.ts'
import { McpError } from './errors.ts'
import { isObject } from './json.ts'

const taskLimit = 10_000

export class Continuity {
  private readonly alias: string
  /** Task id → instance serial; oldest first. */
  private readonly tasks = new Map<string, number>()

  constructor(alias: string) {
    this.alias = alias
  }

  /** The outcome as it leaves: its state says whose it is. */
  mark(outcome: Outcome, serial: number): Outcome {
    if (outcome.kind === 'inputRequired')
      return outcome.requestState === undefined ? outcome : { ...outcome, requestState: `${serial}.${outcome.requestState}` }
    if (outcome.raw && !outcome.raw.has('taskId') && !outcome.raw.has('task')) return outcome
    // A task's id stands beside its status, or in `task` (the revision that had tasks in its core).
    const { taskId, task } = outcome.result
    const id = taskId ?? (isObject(task) ? task['taskId'] : undefined)
    if (typeof id === 'string') {
      this.tasks.set(id, serial)
      if (this.tasks.size > taskLimit) this.tasks.delete(this.tasks.keys().next().value as string)
    }
    return outcome
  }

  /** The call as its instance knows it, and which instance that is; undefined = any. */
  find(call: Call): { readonly call: Call; readonly serial: number | undefined } {
    if (call.requestState !== undefined) {
      const dot = call.requestState.indexOf('.')
      const serial = Number(call.requestState.slice(0, dot))
      if (dot <= 0 || !Number.isSafeInteger(serial))
        throw new McpError('STATE_INVALID', 'this state is not ours', { backend: this.alias })
      return { call: { ...call, requestState: call.requestState.slice(dot + 1) }, serial }
    }
    const id = call.params['taskId']
    return { call, serial: typeof id === 'string' ? this.tasks.get(id) : undefined }
  }
}
