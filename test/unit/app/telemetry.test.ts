import { describe, expect, it } from 'vitest'
import { telemetry } from '../../../src/app/telemetry.ts'
import { never } from '../../../src/gateway/cancellation.ts'
import type { Call, Outcome } from '../../../src/gateway/contract.ts'
import { McpError } from '../../../src/gateway/errors.ts'
import { silent, type Log } from '../../../src/gateway/log.ts'

const call = (params: Call['params'] = {}): Call => ({
  method: 'tools/call',
  params,
  client: { id: 'c1', principal: 'local', info: undefined, capabilities: {}, revision: '2025-11-25', logLevel: undefined },
  cancellation: never,
})

function recording(): { log: Log; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = []
  return { lines, log: { ...silent, debug: fields => void lines.push({ ...fields }) } }
}

const complete: Outcome = { kind: 'complete', result: {} }

describe('telemetry', () => {
  it('writes one line per call: id, method, name, backend, duration, outcome, and no arguments', async () => {
    const { log, lines } = recording()
    const { middleware } = telemetry({ log, lines: true, owner: () => 'files' })
    await middleware(async () => complete)(call({ name: 'files__read', arguments: { path: '/hush' } }))
    await middleware(async () => complete)(call({ uri: 'db://x/y?token=hush#z' }))
    expect(lines).toHaveLength(2)
    expect(lines[0]).toMatchObject({ method: 'tools/call', name: 'files__read', backend: 'files', client: 'c1', outcome: 'complete' })
    expect(lines[0]!['ms']).toEqual(expect.any(Number))
    expect(lines[1]).toMatchObject({ name: 'db://x/y' })
    expect(lines[0]!['call']).not.toBe(lines[1]!['call'])
    expect(JSON.stringify(lines)).not.toContain('hush')
  })

  it('tells a tool’s own error, an ask, a failure and a cancellation apart', async () => {
    const { log, lines } = recording()
    const { middleware, counts } = telemetry({ log, lines: true })
    const failing = (error: unknown) => middleware(() => Promise.reject(error))(call())
    await middleware(async () => ({ kind: 'complete', result: { isError: true } }))(call())
    await middleware(async () => ({ kind: 'inputRequired' }))(call())
    await expect(failing(new McpError('BACKEND_DIED', 'gone'))).rejects.toThrow('gone')
    await expect(failing(new McpError('CANCELLED', 'stop'))).rejects.toThrow('stop')
    await expect(failing(new TypeError('ours'))).rejects.toThrow('ours')
    expect(lines.map(({ outcome, code }) => [outcome, code])).toEqual([
      ['tool error', undefined],
      ['inputRequired', undefined],
      ['failed', 'BACKEND_DIED'],
      ['cancelled', 'CANCELLED'],
      ['failed', 'INTERNAL'],
    ])
    expect(counts).toEqual({ total: 5, answered: 1, asked: 1, failed: 2, cancelled: 1 })
  })

  it('counts without writing when nobody looks', async () => {
    const { log, lines } = recording()
    const { middleware, counts } = telemetry({ log, lines: false })
    const open = middleware(() => new Promise(() => {}))
    void open(call())
    await middleware(async () => complete)(call())
    expect(lines).toEqual([])
    expect(counts).toMatchObject({ total: 2, answered: 1 })
  })
})
