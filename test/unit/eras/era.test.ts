import { describe, expect, it } from 'vitest'
import { connect, serve, type ConnectOptions } from '../../../src/eras/era.ts'
import { CancelSource, never } from '../../../src/gateway/cancellation.ts'
import type { Call, ClientProfile, JsonObject } from '../../../src/gateway/contract.ts'
import { McpError } from '../../../src/gateway/errors.ts'
import { silent } from '../../../src/gateway/log.ts'
import { memoryPair, type Channel, type Message, type Receiver } from '../../../src/transports/channel.ts'
import { FakeGateway, key, meta, quiet, serveOptions, version, Wire } from './modern/rig.ts'

const initialize = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'old', version: '1' } }

describe('serving a client', () => {
  const open = () => {
    const [ours, theirs] = memoryPair()
    const gateway = new FakeGateway()
    return { gateway, client: new Wire(theirs), ours, serving: serve(ours, serveOptions(gateway)) }
  }

  it('speaks both eras over one channel, request by request', async () => {
    const { client, gateway } = open()
    gateway.answer = () => ({ kind: 'complete', result: { content: [] } })
    expect((await client.ask('server/discover', { _meta: meta() })).result).toMatchObject({ supportedVersions: [version] })
    expect((await client.ask('initialize', initialize)).result).toMatchObject({ protocolVersion: '2025-11-25' })
    client.send({ method: 'notifications/initialized' })
    expect((await client.ask('tools/call', { name: 'a' })).result).toEqual({ content: [] })
    expect((await client.ask('tools/call', { name: 'b', _meta: meta() })).result).toEqual({ content: [], resultType: 'complete' })
    expect((await client.ask('ping')).result).toEqual({})
    expect((await client.ask('ping', { _meta: meta() })).error?.code).toBe(-32601)
    expect((await client.ask('server/discover', {})).error?.code).toBe(-32601)
    expect(gateway.calls.map(({ client }) => client.revision)).toEqual(['2025-11-25', version])
    expect(new Set(gateway.calls.map(({ client }) => client.id)).size).toBe(1)
  })

  it('tells a client that forgot the fields', async () => {
    const { client } = open()
    expect((await client.ask('server/discover', {})).error?.code).toBe(-32602)
    expect((await client.ask('tools/list', {})).error).toBeDefined()
  })

  it('gives each client an id of its own', async () => {
    const rigs = [open(), open()]
    for (const { client } of rigs) await client.ask('tools/call', { name: 'a', _meta: meta() })
    expect(new Set(rigs.map(({ gateway }) => gateway.calls[0]?.client.id)).size).toBe(2)
  })

  it('takes what the client said before anybody listened', async () => {
    const [ours, theirs] = memoryPair()
    const client = new Wire(theirs)
    const answers = Promise.all([client.ask('tools/call', { name: 'a', _meta: meta() }), client.ask('initialize', initialize)])
    await quiet()
    serve(ours, serveOptions(new FakeGateway()))
    expect((await answers).map(({ result }) => result !== undefined)).toEqual([true, true])
  })

  it('is over when the client goes', async () => {
    const { client, serving } = open()
    await client.channel.close()
    await serving.closed
  })

  it('drains: new calls refused, open ones waited for, streams ended, then the end', async () => {
    const { client, gateway, serving } = open()
    let finish = (): void => {}
    gateway.answer = () => new Promise(resolve => (finish = () => resolve({ kind: 'complete', result: { late: true } })))
    client.send({ id: 's', method: 'subscriptions/listen', params: { notifications: {}, _meta: meta() } })
    const call = client.ask('tools/call', { name: 'a', _meta: meta() })
    await quiet()
    const drained = serving.drain(5000)
    expect((await client.ask('tools/call', { name: 'b', _meta: meta() })).error).toMatchObject({ data: { code: 'SHUTTING_DOWN' } })
    expect((await client.next(({ id }) => id === 's')).result).toMatchObject({ _meta: { [key.subscription]: 's' } })
    expect(client.closed).toBe(false)
    finish()
    expect((await call).result).toMatchObject({ late: true })
    await drained
    await serving.closed
    expect(client.closed).toBe(true)
  })

  it('drains no longer than allowed: what is left is cancelled and told so', async () => {
    const { client, gateway, serving } = open()
    gateway.answer = () => new Promise(() => {})
    const call = client.ask('tools/call', { name: 'a', _meta: meta() })
    await quiet()
    await serving.drain(20)
    expect((await call).error).toMatchObject({ data: { code: 'SHUTTING_DOWN' } })
    expect(gateway.calls[0]?.cancellation.cancelled).toBe(true)
  })
})

type Script = (message: Message, server: Wire) => JsonObject | { error: JsonObject } | undefined | void
const discovered = { resultType: 'complete', supportedVersions: [version], capabilities: { tools: {} } }
const initialized = { protocolVersion: '2025-06-18', capabilities: {}, serverInfo: { name: 'old', version: '1' } }
const notFound = { error: { code: -32601, message: 'Method not found' } }
const legacyServer: Script = ({ method }) => (method === 'initialize' ? initialized : notFound)
const modernServer: Script = ({ method }) =>
  method === 'server/discover' ? discovered : method === 'initialize' ? { error: { code: -32601, message: 'no such method' } } : { ok: true }

describe('connecting to a server', () => {
  /** Each dial gets the next script; the last one serves all further dials. */
  function dialling(scripts: Script[], more: Partial<ConnectOptions> = {}, as: Partial<Channel> = {}) {
    const servers: Wire[] = []
    const remembered: unknown[] = []
    const options: ConnectOptions = {
      name: 'files',
      log: silent,
      self: { name: 'mcp-proxy', version: '0' },
      timeouts: { probe: 30, start: 1000, call: 1000 },
      asks: { rounds: 3, waitMs: 1000, parked: 4 },
      remember: verdict => remembered.push(verdict),
      dial: async () => {
        const [ours, theirs] = memoryPair()
        const script = scripts[Math.min(servers.length, scripts.length - 1)] as Script
        const server = new Wire(theirs)
        server.onRequest = message => script(message, server)
        servers.push(server)
        return Object.assign(ours, as)
      },
      ...more,
    }
    const said = () => servers.map(({ received }) => received.map(({ method }) => method).filter(method => method !== 'notifications/initialized'))
    return { servers, remembered, said, connection: () => connect(options), failure: () => connect(options).then(() => expect.unreachable(), error => error as McpError) }
  }
  const describeOf = async (rig: { connection(): ReturnType<typeof connect> }) => (await rig.connection()).describe()
  const verdict = (era: string, revision: string) => [{ era, revision, at: expect.any(Number) }]

  it('of the modern era takes one question', async () => {
    const rig = dialling([modernServer])
    expect(await describeOf(rig)).toMatchObject({ era: 'modern', revision: version, capabilities: { tools: {} } })
    expect(rig.said()).toEqual([['server/discover']])
    expect(rig.servers[0]?.received[0]?.params?.['_meta']).toMatchObject({ [key.version]: version, [key.client]: { name: 'mcp-proxy' }, [key.capabilities]: {} })
    expect(rig.remembered).toEqual(verdict('modern', version))
  })

  it.each([
    ['an unknown method', notFound],
    ['invalid params', { error: { code: -32602, message: 'Invalid request parameters' } }],
    ['an error of its own', { error: { code: 0, message: 'not initialized' } }],
    ['a result of something else', { tools: [] }],
    ['a version list of old', { error: { code: -32022, message: 'v', data: { supported: ['2025-11-25'] } } }],
  ])('that answers with %s opens it by initialize, in place', async (_title, answer) => {
    const rig = dialling([({ method }) => (method === 'initialize' ? initialized : answer)])
    expect(await describeOf(rig)).toMatchObject({ era: 'legacy', revision: '2025-06-18' })
    expect(rig.said()).toEqual([['server/discover', 'initialize']])
    expect(rig.remembered).toEqual(verdict('legacy', '2025-06-18'))
  })

  it('that stays silent opens it by initialize; what comes late changes nothing', async () => {
    const rig = dialling([
      ({ method, id }, server) => {
        if (method !== 'initialize') return undefined
        setTimeout(() => server.send({ id: server.received[0]?.id as number, result: discovered }), 1)
        setTimeout(() => server.send({ id: id as number, result: initialized }), 5)
        return undefined
      },
    ])
    const connection = await rig.connection()
    expect(await connection.describe()).toMatchObject({ era: 'legacy' })
    expect(rig.said()).toEqual([['server/discover', 'initialize']])
  })

  it('that is slow and modern is found out all the same', async () => {
    const rig = dialling([
      ({ method, id }, server) => {
        if (method === 'server/discover') setTimeout(() => server.send({ id: id as number, result: discovered }), 60)
        if (method === 'initialize') setTimeout(() => server.send({ id: id as number, ...notFound } as never), 70)
        return undefined
      },
    ])
    expect(await describeOf(rig)).toMatchObject({ era: 'modern' })
    expect(rig.said()).toEqual([['server/discover', 'initialize'], ['server/discover']])
    expect(rig.remembered).toEqual(verdict('modern', version))
  })

  it('that refuses our version and offers it is asked once more', async () => {
    let asked = 0
    const rig = dialling([
      () => (++asked === 1 ? { error: { code: -32022, message: 'v', data: { supported: ['2025-11-25', version] } } } : discovered),
    ])
    expect(await describeOf(rig)).toMatchObject({ era: 'modern' })
    const stubborn = dialling([() => ({ error: { code: -32022, message: 'v', data: { supported: [version] } } })])
    expect(await stubborn.failure()).toMatchObject({ code: 'BACKEND_PROTOCOL' })
    expect(stubborn.said()).toEqual([['server/discover', 'server/discover']])
  })

  it('of a later era is refused by name of its versions', async () => {
    const rig = dialling([() => ({ error: { code: -32022, message: 'v', data: { supported: ['2031-01-01'] } } })])
    const error = await rig.failure()
    expect(error).toMatchObject({ code: 'BACKEND_PROTOCOL', message: expect.stringContaining('2031-01-01'), details: { backend: 'files' } })
    await quiet()
    expect(rig.servers[0]?.closed).toBe(true)
    expect(rig.said()).toEqual([['server/discover']])
  })

  const diesAtProbe: Script = ({ method }, server) => {
    if (method === 'server/discover') void server.channel.close()
    return initialized
  }
  it('that dies of the probe is started again and opened the old way', async () => {
    const rig = dialling([diesAtProbe, legacyServer])
    expect(await describeOf(rig)).toMatchObject({ era: 'legacy' })
    expect(rig.said()).toEqual([['server/discover'], ['initialize']])
  })

  it('that starts slowly and then dies of the probe is started again too', async () => {
    const slow: Script = ({ method }, server) => {
      if (method === 'initialize') setTimeout(() => void server.channel.close(), 5)
      return undefined
    }
    const rig = dialling([slow, legacyServer])
    expect(await describeOf(rig)).toMatchObject({ era: 'legacy' })
    expect(rig.said()).toEqual([['server/discover', 'initialize'], ['initialize']])
  })

  it('that always dies says so, with its last words', async () => {
    const rig = dialling([(_message, server) => void server.channel.close()], {}, { lastWords: () => 'Error: no config' })
    const error = await rig.failure()
    expect(error).toMatchObject({ code: 'BACKEND_START_FAILED', message: expect.stringContaining('Error: no config'), details: { backend: 'files' } })
    expect(rig.servers).toHaveLength(2)
  })

  describe('that dies the same way whatever it is told first', () => {
    const dying: Script = (_message, server) => void server.channel.close()

    it('is started once for each further attempt, the openings taking turns', async () => {
      const rig = dialling([dying], { memory: {} })
      for (const starts of [2, 3, 4, 5]) {
        await rig.failure()
        expect(rig.servers).toHaveLength(starts)
      }
      expect(rig.said()).toEqual([['server/discover'], ['initialize'], ['server/discover'], ['initialize'], ['server/discover']])
    })

    it.each<[string, Script, string[], string]>([
      ['a modern one', modernServer, ['server/discover'], 'modern'],
      ['a legacy one that answers the probe', legacyServer, ['server/discover', 'initialize'], 'legacy'],
    ])('is found out once it is mended: %s', async (_what, mended, said, era) => {
      const rig = dialling([dying, dying, mended], { memory: {} })
      await rig.failure()
      expect(await describeOf(rig)).toMatchObject({ era })
      expect(rig.said()[2]).toEqual(said)
    })

    it('is opened in the older way in its turn, and asked again next time', async () => {
      const mended: Script = (message, server) => (message.method === 'initialize' ? initialized : dying(message, server))
      const rig = dialling([dying, dying, mended], { memory: {} })
      await rig.failure()
      await rig.failure()
      expect(await describeOf(rig)).toMatchObject({ era: 'legacy' })
      expect(rig.remembered).toEqual([])
      expect(await describeOf(rig)).toMatchObject({ era: 'legacy' })
      expect(rig.said().slice(2)).toEqual([['server/discover'], ['initialize'], ['server/discover'], ['initialize']])
      expect(rig.remembered).toHaveLength(1)
    })

    it('is found out in the turn of the older way, too', async () => {
      const rig = dialling([dying, dying, dying, modernServer], { memory: {} })
      await rig.failure()
      await rig.failure()
      expect(await describeOf(rig)).toMatchObject({ era: 'modern' })
      expect(rig.remembered).toEqual(verdict('modern', version))
    })
  })

  it('that refuses to be opened at all is quoted, bounded', async () => {
    const rig = dialling([() => ({ error: { code: -32000, message: 'x'.repeat(100_000) } })])
    const error = await rig.failure()
    expect(error.code).toBe('BACKEND_PROTOCOL')
    expect(error.message.length).toBeLessThan(2000)
    await quiet()
    expect(rig.servers[0]?.closed).toBe(true)
  })

  describe('known from before', () => {
    const hour = 60 * 60 * 1000
    it('as legacy, lately, is not probed', async () => {
      const rig = dialling([legacyServer], { remembered: { era: 'legacy', revision: '2025-06-18', at: Date.now() - 23 * hour } })
      expect(await describeOf(rig)).toMatchObject({ era: 'legacy' })
      expect(rig.said()).toEqual([['initialize']])
    })

    it('as legacy, long ago, is probed again', async () => {
      const rig = dialling([modernServer], { remembered: { era: 'legacy', revision: '2025-06-18', at: Date.now() - 25 * hour } })
      expect(await describeOf(rig)).toMatchObject({ era: 'modern' })
    })

    it('as legacy, but no longer so, is found out', async () => {
      const rig = dialling([modernServer], { remembered: { era: 'legacy', revision: '2025-06-18', at: Date.now() } })
      expect(await describeOf(rig)).toMatchObject({ era: 'modern' })
      expect(rig.said()).toEqual([['initialize'], ['server/discover']])
      expect(rig.remembered).toEqual(verdict('modern', version))
    })

    it('as modern is given time to start', async () => {
      const slow: Script = ({ method, id }, server) => {
        if (method === 'server/discover') setTimeout(() => server.send({ id: id as number, result: discovered }), 90)
        return undefined
      }
      const rig = dialling([slow], { remembered: { era: 'modern', revision: version, at: 0 } })
      expect(await describeOf(rig)).toMatchObject({ era: 'modern' })
      expect(rig.said()).toEqual([['server/discover']])
    })

    it('as modern, but no longer so, is opened the old way', async () => {
      const rig = dialling([legacyServer], { remembered: { era: 'modern', revision: version, at: Date.now() } })
      expect(await describeOf(rig)).toMatchObject({ era: 'legacy' })
      expect(rig.remembered).toEqual(verdict('legacy', '2025-06-18'))
    })
  })

  it('gives up in time, and takes back a dial that comes too late', async () => {
    const silentServer = dialling([() => undefined], { timeouts: { probe: 5, start: 40, call: 1000 } }, { lastWords: () => 'still compiling' })
    expect(await silentServer.failure()).toMatchObject({ code: 'BACKEND_TIMEOUT', message: expect.stringContaining('still compiling') })
    await quiet()
    expect(silentServer.servers[0]?.closed).toBe(true)

    const [ours, theirs] = memoryPair()
    const far = new Wire(theirs)
    const dial = () => new Promise<Channel>(resolve => setTimeout(() => resolve(ours), 30))
    expect(await dialling([], { dial, timeouts: { probe: 5, start: 10, call: 1000 } }).failure()).toMatchObject({ code: 'BACKEND_TIMEOUT' })
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(far.closed).toBe(true)
  })

  it('can be given up', async () => {
    const cancellation = new CancelSource()
    const rig = dialling([() => undefined], { cancellation })
    const failed = rig.failure()
    await quiet()
    cancellation.cancel('no longer wanted')
    expect(await failed).toMatchObject({ code: 'CANCELLED', message: 'no longer wanted' })
    await quiet()
    expect(rig.servers[0]?.closed).toBe(true)
  })

  it('passes on what the dial says', async () => {
    const error = new McpError('BACKEND_START_FAILED', 'nodde: not found', { hint: 'install it' })
    expect(await dialling([], { dial: () => Promise.reject(error) }).failure()).toBe(error)
  })

  it('keeps what a server says before it is known whose era that is', async () => {
    const rig = dialling([
      (message, server) => {
        server.send({ method: 'notifications/acme', params: { early: 1 } })
        return modernServer(message, server)
      },
    ])
    const connection = await rig.connection()
    expect(await connection.handle(callOf('tools/call'))).toMatchObject({ result: { ok: true } })
  })

  describe('over HTTP', () => {
    const asHttp = { transport: 'http', wantsHeaders: true, cancelsByClosing: true } as Partial<Channel>

    it('sends the headers with the probe', async () => {
      const heads: unknown[] = []
      const [ours, theirs] = memoryPair()
      const server = new Wire(theirs)
      server.onRequest = message => modernServer(message, server) as JsonObject
      const send = ours.send.bind(ours)
      const channel = Object.assign(ours, asHttp, {
        send: (message: Message, options?: { headers?: object }) => {
          heads.push(options?.headers)
          send(message)
        },
      })
      await dialling([], { dial: async () => channel }).connection()
      expect(heads).toEqual([{ 'MCP-Protocol-Version': version, 'Mcp-Method': 'server/discover' }])
    })

    it.each(['BACKEND_NEEDS_AUTH', 'BACKEND_HTTP'] as const)('%s says nothing of the era and is passed on', async code => {
      let receiver: Receiver | undefined
      const sent: Message[] = []
      const channel: Channel = {
        transport: 'http', wantsHeaders: true, cancelsByClosing: true,
        open: given => void (receiver = given),
        send: message => {
          sent.push(message)
          queueMicrotask(() => receiver?.malformed?.(new McpError(code, 'no'), message.id as number, 'answer'))
        },
        abandon() {},
        close: async () => receiver?.closed(undefined),
      }
      expect(await dialling([], { dial: async () => channel }).failure()).toMatchObject({ code })
      expect(sent.map(({ method }) => method)).toEqual(['server/discover'])
    })

    it('takes silence for an outage', async () => {
      const rig = dialling([() => undefined], { timeouts: { probe: 5, start: 60, call: 1000 } }, asHttp)
      expect(await rig.failure()).toMatchObject({ code: 'BACKEND_TIMEOUT' })
      expect(rig.said()).toEqual([['server/discover']])
    })

    it('takes a broken connection for one too', async () => {
      const rig = dialling([diesAtProbe], {}, asHttp)
      expect(await rig.failure()).toMatchObject({ code: 'BACKEND_START_FAILED' })
      expect(rig.servers).toHaveLength(1)
    })

    it('with event streams alone is of the older era', async () => {
      const rig = dialling([legacyServer], {}, { transport: 'sse' } as Partial<Channel>)
      expect(await describeOf(rig)).toMatchObject({ era: 'legacy' })
      expect(rig.said()).toEqual([['initialize']])
    })
  })
})

describe('a gateway behind a gateway', () => {
  async function nested() {
    const inner = new FakeGateway()
    const [near, far] = memoryPair()
    serve(far, serveOptions(inner, { sealKey: Buffer.alloc(32, 1) }))
    const backend = await connect({
      name: 'inner',
      dial: async () => near,
      log: silent,
      self: { name: 'mcp-proxy', version: '0' },
      timeouts: { probe: 100, start: 1000, call: 1000 },
      asks: { rounds: 3, waitMs: 1000, parked: 4 },
    })
    const [ours, theirs] = memoryPair()
    serve(ours, serveOptions(backend, { sealKey: Buffer.alloc(32, 2) }))
    return { inner, client: new Wire(theirs) }
  }

  it('is just another server: demands for input cross both, each with its own seal', async () => {
    const { inner, client } = await nested()
    inner.answer = call =>
      call.inputResponses
        ? { kind: 'complete', result: { content: [], answers: call.inputResponses, state: call.requestState } }
        : { kind: 'inputRequired', requests: { who: { method: 'elicitation/create', params: { message: 'Name?' } } }, requestState: 's', from: 'x' }
    const params = { name: 'a', arguments: { n: 1 }, _meta: meta({ elicitation: {} }) }
    const { result } = await client.ask('tools/call', params)
    const inputResponses = { who: { action: 'accept', content: { n: 'Ann' } } }
    const done = await client.ask('tools/call', { ...params, inputResponses, requestState: result?.['requestState'] })
    expect(done.result).toEqual({ resultType: 'complete', content: [], answers: inputResponses, state: 's' })
    expect(inner.calls[1]?.client).toMatchObject({ info: { name: 'tester' }, capabilities: { elicitation: {} } })
    const { error } = await client.ask('tools/call', { ...params, _meta: meta() })
    expect(error).toEqual({ code: -32021, message: expect.any(String), data: { requiredCapabilities: { elicitation: { form: {} } } } })
  })

  it('carries progress, log lines, cancellation and changes', async () => {
    const { inner, client } = await nested()
    inner.description = { ...inner.description, capabilities: { tools: {} } }
    inner.answer = call => {
      call.progress?.({ progress: 1 })
      call.log?.({ level: 'error', data: 'x' })
      return new Promise((_, reject) => call.cancellation.subscribe(why => reject(new McpError('CANCELLED', why ?? ''))))
    }
    client.send({ id: 1, method: 'tools/call', params: { name: 'a', _meta: meta({}, { progressToken: 'p', [key.logLevel]: 'info' }) } })
    await quiet()
    expect(client.received).toEqual([
      { jsonrpc: '2.0', method: 'notifications/progress', params: { progress: 1, progressToken: 'p' } },
      { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'error', data: 'x' } },
    ])
    client.send({ method: 'notifications/cancelled', params: { requestId: 1, reason: 'enough' } })
    await quiet()
    expect(inner.calls[0]?.cancellation).toMatchObject({ cancelled: true, reason: 'enough' })
    client.send({ id: 2, method: 'subscriptions/listen', params: { notifications: { toolsListChanged: true }, _meta: meta() } })
    await client.next(({ method }) => method === 'notifications/subscriptions/acknowledged')
    for (const ear of inner.ears) ear.tell({ kind: 'list', list: 'tools' })
    expect((await client.next(({ method }) => method === 'notifications/tools/list_changed')).params).toEqual({ _meta: { [key.subscription]: 2 } })
  })
})

const profile: ClientProfile = { id: 'c', principal: 'p', info: undefined, capabilities: {}, revision: version, logLevel: undefined }
const callOf = (method: string): Call => ({ method, params: {}, client: profile, cancellation: never })
