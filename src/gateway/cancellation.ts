/**
 * A light AbortSignal: one per call, so it must cost nothing until somebody cancels. The call path makes hundreds of
 * thousands of these a second; an AbortController with one listener costs more than relaying the call itself.
 */
export interface Cancellation {
  readonly cancelled: boolean
  /** Why, in words for the other side; undefined when not cancelled or when no reason was given. */
  readonly reason: string | undefined
  /** Runs `listener` once on cancellation; at once if that has happened. Returns how to take the listener back. */
  subscribe(listener: (reason: string | undefined) => void): () => void
}

const nothing = () => {}

export class CancelSource implements Cancellation {
  cancelled = false
  reason: string | undefined
  private listeners: ((reason: string | undefined) => void)[] | undefined

  subscribe(listener: (reason: string | undefined) => void): () => void {
    if (this.cancelled) {
      listener(this.reason)
      return nothing
    }
    const listeners = (this.listeners ??= [])
    listeners.push(listener)
    return () => {
      const at = listeners.indexOf(listener)
      if (at >= 0) listeners.splice(at, 1)
    }
  }

  cancel(reason?: string): void {
    if (this.cancelled) return
    this.cancelled = true
    this.reason = reason
    const listeners = this.listeners
    this.listeners = undefined
    for (const listener of [...(listeners ?? [])]) listener(reason)
  }
}

/** For calls nobody can cancel, such as the gateway's own list fetches. */
export const never: Cancellation = { cancelled: false, reason: undefined, subscribe: () => nothing }
