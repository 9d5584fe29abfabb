/**
 * Whether the backends that should be up are: each is asked for a sign of life, not only looked up. Asked by anybody who can
 * reach the port, so the answer is shared for a moment.
 */
import type { BackendState, Member } from '../gateway/contract.ts'

export interface Readiness {
  readonly ready: boolean
  /** Those that are not as they should be, by alias. */
  readonly backends: Readonly<Record<string, BackendState | 'silent'>>
}

/** Milliseconds. */
const probeMs = 2000
const keepMs = 1000

/** A backend nobody needs now is as it should be, once it has told what it offers. */
const isFine = ({ state }: { readonly state: BackendState }, known: boolean): boolean =>
  state === 'healthy' || state === 'disabled' || (known && (state === 'idle' || state === 'starting'))

export function readinessOf(gateway: { readonly members: readonly Member[] }): () => Promise<Readiness> {
  let asking: Promise<Readiness> | undefined

  async function ask(): Promise<Readiness> {
    const backends: Record<string, BackendState | 'silent'> = {}
    await Promise.all(
      gateway.members.map(async member => {
        const status = member.status()
        if (!isFine(status, member.offer !== undefined)) backends[status.alias] = status.state
        else if (status.state === 'healthy') await member.probe?.(probeMs).catch(() => (backends[status.alias] = 'silent'))
      }),
    )
    return { ready: Object.keys(backends).length === 0, backends }
  }

  return () => {
    if (!asking) {
      asking = ask()
      void asking.then(() => setTimeout(() => (asking = undefined), keepMs).unref())
    }
    return asking
  }
}
