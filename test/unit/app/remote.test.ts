import { describe, expect, it } from 'vitest'
import { patient } from '../../../src/app/remote.ts'
import { CancelSource, never } from '../../../src/gateway/cancellation.ts'
import type { Call, ClientProfile, Connection, Outcome } from '../../../src/gateway/contract.ts'
import { McpError, type ErrorCode } from '../../../src/gateway/errors.ts'

const client: ClientProfile = { id: 'c', principal: 'local', info: undefined, capabilities: {}, revision: '2026-07-28', logLevel: undefined }
const done: Outcome = { kind: 'complete', result: {} }

function scene(code: ErrorCode, retryAfterMs: number | undefined, failures = 1) {
  const calls: string[] = []
  const connection = {
    name: 'one',
    handle: async ({ method }: Call) => {
      calls.push(method)
      if (calls.length <= failures) throw new McpError(code, 'later', { retryAfterMs })
      return done
    },
  } as unknown as Connection
  const handle = (method: string, more: Partial<Call> = {}) => patient(connection).handle({ method, params: {}, client, cancellation: never, ...more })
  return { calls, handle }
}

describe('a server that says when to come back', () => {
  it('is asked once more where asking changes nothing', async () => {
    const { calls, handle } = scene('BACKEND_HTTP', 20)
    expect(await handle('resources/read')).toBe(done)
    expect(calls).toHaveLength(2)
  })

  it('is not asked a third time', async () => {
    const { calls, handle } = scene('BACKEND_HTTP', 1, 2)
    await expect(handle('tools/list')).rejects.toMatchObject({ code: 'BACKEND_HTTP' })
    expect(calls).toHaveLength(2)
  })

  it.each([
    ['a call of a tool', 'tools/call', 'BACKEND_HTTP', 1],
    ['no time given', 'tools/list', 'BACKEND_HTTP', undefined],
    ['too long a time', 'tools/list', 'BACKEND_HTTP', 60_000],
    ['another failure', 'tools/list', 'BACKEND_DIED', 1],
  ] as const)('is not asked again: %s', async (_why, method, code, wait) => {
    const { calls, handle } = scene(code, wait)
    await expect(handle(method)).rejects.toMatchObject({ code })
    expect(calls).toHaveLength(1)
  })

  it('is not asked again for a caller who has left', async () => {
    const { calls, handle } = scene('BACKEND_HTTP', 30)
    const cancellation = new CancelSource()
    const answer = handle('tools/list', { cancellation })
    setTimeout(() => cancellation.cancel('changed my mind'), 5)
    await expect(answer).rejects.toMatchObject({ code: 'CANCELLED' })
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(calls).toHaveLength(1)
  })
})
