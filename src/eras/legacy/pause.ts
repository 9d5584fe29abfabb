/** A wait that can be cut short. */
import type { Cancellation } from '../../gateway/cancellation.ts'

/** Resolves after `ms`, or as soon as `cancellation` fires. */
export function pause(ms: number, cancellation: Cancellation): Promise<void> {
  return new Promise(resolve => {
    if (cancellation.cancelled) return resolve()
    const timer = setTimeout(() => {
      release()
      resolve()
    }, ms)
    const release = cancellation.subscribe(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
