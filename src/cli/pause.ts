/** Waiting between two looks at something. */
import type { Cancellation } from '../gateway/cancellation.ts'

/** Resolves after `ms`, or at once when cancelled. */
export function pause(ms: number, cancellation: Cancellation): Promise<void> {
  // Who is cancelled already calls back before there is anything to take back.
  if (cancellation.cancelled) return Promise.resolve()
  return new Promise(resolve => {
    const finish = (): void => {
      clearTimeout(timer)
      stop()
      resolve()
    }
    const timer = setTimeout(finish, ms)
    const stop = cancellation.subscribe(finish)
  })
}
