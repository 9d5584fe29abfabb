import { describe, expect, it } from 'vitest'
import { call, type CallOptions } from '../../../src/cli/call.ts'
import { prompt } from '../../../src/cli/prompt.ts'
import { read } from '../../../src/cli/read.ts'
import { never } from '../../../src/gateway/cancellation.ts'
import type { Ask, Call, Outcome } from '../../../src/gateway/contract.ts'
import { McpError } from '../../../src/gateway/errors.ts'
import { complete, contextFor, fakeHouse, text, type FakeServer } from './fake-house.ts'
import { fakeIo, type FakeIo } from './fake-io.ts'

const tools = [{ name: 'echo', inputSchema: { type: 'object', properties: { n: { type: 'integer' } } } }]

function calling(servers: Record<string, FakeServer>, options: Partial<CallOptions> = {}, flags: object = {}, io: FakeIo = fakeIo()) {
  const house = fakeHouse(servers)
  const context = contextFor(io, flags)
  const done = call({ name: 'one__echo', input: undefined, pairs: [], ...options }, house, context, { io, cancellation: never, quiet: false })
  return { house, io, done }
}

describe('call', () => {
  it('prints what the tool says and starts no other server', async () => {
    const { house, io, done } = calling({ one: { tools, handle: async () => text('hi') }, two: { tools } }, { input: '{"a":1}', pairs: ['n=5'] })
    expect(await done).toBe(0)
    expect(io.out()).toBe('hi\n')
    expect(house.calls[0]).toMatchObject({ method: 'tools/call', params: { name: 'echo', arguments: { a: 1, n: 5 } }, client: { principal: 'local' } })
    expect(house.started).toEqual(['one'])
  })

  it('prints the result as it came with --json, and exits 1 for a tool’s own error', async () => {
    const result = { content: [{ type: 'video', x: 1 }], isError: true, _meta: { v: 1 } }
    const { io, done } = calling({ one: { tools, handle: async () => complete(result) } }, {}, { json: true })
    expect(await done).toBe(1)
    expect(JSON.parse(io.out())).toEqual(result)
  })

  it('asks back who may have been meant', async () => {
    const servers = { one: { tools }, two: { tools: [{ name: 'list', inputSchema: {} }] } }
    await expect(calling(servers, { name: 'one__ecko' }).done).rejects.toMatchObject({ code: 'UNKNOWN_NAME', details: { hint: 'did you mean one__echo?' } })
    await expect(calling(servers, { name: 'xxxxxxxxxxx' }).done).rejects.toMatchObject({ details: { hint: 'mcp-proxy list tools shows all names' } })
  })

  it('says that the server is broken rather than the name unknown', async () => {
    await expect(calling({ one: { broken: 'no licence' }, two: { tools } }).done).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' })
    await expect(calling({ one: { broken: 'no licence' }, two: { tools } }, { name: 'two__ecko' }).done).rejects.toMatchObject({
      code: 'UNKNOWN_NAME',
      details: { hint: 'did you mean two__echo?' },
    })
  })

  it('shows progress and log messages on a terminal only', async () => {
    const handle = async (made: Call): Promise<Outcome> => {
      made.progress?.({ progress: 1, total: 4, message: 'a \x1b[2Jquarter' })
      made.progress?.({ progress: 3 })
      made.log?.({ level: 'warning', logger: 'x', data: { why: 1 } })
      return text('done')
    }
    const seen = fakeIo({ tty: true })
    await calling({ one: { tools, handle } }, {}, {}, seen).done
    expect(seen.err()).toContain('25 % a [2Jquarter')
    expect(seen.err()).toContain('warning x: {"why":1}')
    expect(seen.err()).toContain('\r\x1b[2K')
    const piped = fakeIo()
    await calling({ one: { tools, handle } }, {}, {}, piped).done
    expect(piped.err()).toBe('')
  })
})

/** A tool that asks once and says what it was answered. */
const asking = (request: Ask): FakeServer => ({
  tools,
  handle: async ({ inputResponses, requestState }) =>
    inputResponses ? text(JSON.stringify({ inputResponses, requestState })) : { kind: 'inputRequired', requests: { q: request }, requestState: 's1' },
})
const form: Ask = { method: 'elicitation/create', params: { message: 'Who?', requestedSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] } } }
const page: Ask = { method: 'elicitation/create', params: { mode: 'url', message: 'Sign in', url: 'https://x.example/auth?state=1', elicitationId: 'e' } }

describe('what a server asks', () => {
  const answered = async (request: Ask, ...lines: string[]) => {
    const io = fakeIo({ tty: true })
    const { done } = calling({ one: asking(request) }, {}, {}, io)
    io.type(...lines)
    io.end()
    await done
    return { answer: JSON.parse(io.out()), shown: io.err() }
  }

  it('is asked on the terminal, and the call goes on with the answer and the state', async () => {
    const { answer, shown } = await answered(form, 'Ada', 'y')
    expect(answer).toEqual({ inputResponses: { q: { action: 'accept', content: { name: 'Ada' } } }, requestState: 's1' })
    expect(shown).toContain('one asks: Who?')
  })

  it('shows the whole address of a page and asks for consent', async () => {
    const yes = await answered(page, 'y')
    expect(yes.answer.inputResponses).toEqual({ q: { action: 'accept' } })
    expect(yes.shown).toContain('https://x.example/auth?state=1')
    expect((await answered(page, '')).answer.inputResponses).toEqual({ q: { action: 'decline' } })
    expect((await answered(page)).answer.inputResponses).toEqual({ q: { action: 'cancel' } })
  })

  it('is declined with a note when nobody is there', async () => {
    const { io, done } = calling({ one: asking(form) })
    await done
    expect(JSON.parse(io.out()).inputResponses).toEqual({ q: { action: 'decline' } })
    expect(io.err()).toContain('note: one asks “Who?”: declined')
  })

  it('ends the call when a terminal cannot give it; a server that waits is told so instead', async () => {
    const sampling: Ask = { method: 'sampling/createMessage', params: {} }
    await expect(calling({ one: asking(sampling) }).done).rejects.toMatchObject({ code: 'ASK_UNSUPPORTED' })
    let refusal: unknown
    const live = { withdrawn: never, refuse: (error: unknown) => void (refusal = error) }
    const { io, done } = calling({ one: asking({ ...sampling, live }) })
    await done
    expect(refusal).toBeInstanceOf(McpError)
    expect(JSON.parse(io.out()).inputResponses).toEqual({})
  })

  it('ends when a server never has enough', async () => {
    const handle = async (): Promise<Outcome> => ({ kind: 'inputRequired', requests: { q: form } })
    await expect(calling({ one: { tools, handle } }).done).rejects.toMatchObject({ code: 'TOO_MANY_ROUNDS' })
  })
})

describe('read and prompt', () => {
  const reading = (result: object, tty = false, flags: object = {}) => {
    const io = fakeIo({ tty })
    const house = fakeHouse({ one: { resources: [{ uri: 'r:1', name: 'r' }], handle: async () => complete({ ...result }) } })
    return read('r:1', house, contextFor(io, flags), { io, cancellation: never, quiet: true }).then(code => ({ code, out: io.out(), house }))
  }

  it('prints text, and the bytes of a blob into a pipe', async () => {
    expect(await reading({ contents: [{ uri: 'r:1', text: 'body' }] })).toMatchObject({ code: 0, out: 'body\n' })
    const blob = { contents: [{ uri: 'r:1', mimeType: 'a/b', blob: Buffer.from('raw').toString('base64') }] }
    expect((await reading(blob)).out).toBe('raw')
    expect((await reading(blob, true)).out).toBe('[a/b, 3 B] r:1\n')
    expect(JSON.parse((await reading(blob, false, { json: true })).out)).toEqual(blob)
  })

  it('fills a prompt in', async () => {
    const io = fakeIo()
    const house = fakeHouse({
      one: { prompts: [{ name: 'p' }], handle: async ({ params }) => complete({ messages: [{ role: 'user', content: { type: 'text', text: JSON.stringify(params) } }] }) },
    })
    const terminal = { io, cancellation: never, quiet: true }
    expect(await prompt({ name: 'one__p', input: undefined, pairs: ['city=Rome'] }, house, contextFor(io), terminal)).toBe(0)
    expect(io.out()).toBe('user: {"name":"p","arguments":{"city":"Rome"}}\n')
    await expect(prompt({ name: 'one__q', input: undefined, pairs: [] }, house, contextFor(io), terminal)).rejects.toMatchObject({
      code: 'UNKNOWN_NAME',
      details: { hint: 'did you mean one__p?' },
    })
  })
})
