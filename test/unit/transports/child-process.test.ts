import { spawn } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import type { McpError } from '../../../src/gateway/errors.ts'
import type { Channel, Message, MessagePart, RequestId } from '../../../src/transports/channel.ts'
import { childProcess, type ChildOptions } from '../../../src/transports/child-process.ts'
import { watchTurns } from '../timing.ts'
import { isRunning, until } from './processes.ts'

const fixture = (name: string): string => fileURLToPath(new URL(`../../fixtures/processes/${name}`, import.meta.url))
const block = (ms: number): unknown => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
const quick = { eofMs: 200, termMs: 200, strayMs: 200 }

interface Malformed {
  error: McpError
  id: RequestId | undefined
  part: MessagePart | undefined
}

class Talk {
  readonly messages: Message[] = []
  readonly malformed: Malformed[] = []
  closed: { reason: McpError | undefined } | undefined
  readonly channel: Channel
  private nextId = 0
  private readonly waiting = new Map<RequestId, (message: Message) => void>()

  constructor(channel: Channel) {
    this.channel = channel
    channel.open({
      message: message => {
        expect(this.closed).toBeUndefined()
        this.messages.push(message)
        if (message.method === undefined) this.waiting.get(message.id as RequestId)?.(message)
      },
      malformed: (error, id, part) => this.malformed.push({ error, id, part }),
      closed: reason => {
        expect(this.closed).toBeUndefined()
        this.closed = { reason }
      },
    })
  }
  tell(method: string, params: object = {}): number {
    const id = ++this.nextId
    this.channel.send({ jsonrpc: '2.0', id, method, params: params as { [key: string]: unknown } })
    return id
  }
  ask(method: string, params: object = {}): Promise<Message> {
    return new Promise(resolve => this.waiting.set(this.tell(method, params), resolve))
  }
  async end(): Promise<McpError | undefined> {
    await until(() => this.closed !== undefined)
    return this.closed?.reason
  }
}

const open: Channel[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map(channel => channel.close()))
})

async function dial(
  script = 'server.mjs',
  options: ChildOptions = {},
  args: readonly string[] = [],
  spec: object = {},
): Promise<Talk> {
  const channel = await childProcess(
    { command: process.execPath, args: [fixture(script), ...args], ...spec },
    { name: 'files', stop: quick, ...options },
  )
  open.push(channel)
  return new Talk(channel)
}

describe('a child process as a channel', () => {
  it('carries messages both ways, in order', async () => {
    const talk = await dial()
    const answers = await Promise.all(Array.from({ length: 500 }, (_, n) => talk.ask('echo', { n })))
    expect(answers.map(answer => answer.result?.['n'])).toEqual(Array.from({ length: 500 }, (_, n) => n))
    expect(talk.messages.map(message => message.id)).toEqual(answers.map(answer => answer.id))
    expect(talk.channel.pid).toBeGreaterThan(1)
  })

  it('runs in the configured folder with the configured arguments and a minimal environment', async () => {
    const cwd = mkdtempSync(join(tmpdir(), 'mcp-proxy-test-'))
    process.env['MCP_PROXY_TEST_SECRET'] = 'hunter2'
    const talk = await dial('server.mjs', {}, ['a b', '$(id)', '*'], { cwd, env: { GIVEN: 'yes' } })
    delete process.env['MCP_PROXY_TEST_SECRET']
    expect((await talk.ask('where')).result).toEqual({ cwd, argv: ['a b', '$(id)', '*'] })
    const environment = (await talk.ask('environment')).result
    expect(environment).toMatchObject({ GIVEN: 'yes', HOME: process.env['HOME'] })
    expect(environment).not.toHaveProperty('MCP_PROXY_TEST_SECRET')
  })

  it('ends in good order: closed by our side, process gone', async () => {
    const talk = await dial()
    await talk.ask('echo')
    await talk.channel.close()
    expect(await talk.end()).toBeUndefined()
    expect(isRunning(talk.channel.pid)).toBe(false)
    await talk.channel.close()
    talk.tell('echo')
  })
})

describe('output that is no message', () => {
  it('is passed over, whatever it is', async () => {
    const lines: object[] = []
    const log = { debug() {}, info() {}, error() {}, warn: (fields: object) => lines.push(fields), child: () => log }
    const talk = await dial('server.mjs', { log })
    await talk.ask('banner', { text: 'Server ready\n{"level":"info"}\n\n' })
    for (let n = 0; n < 100; n++) await talk.ask('banner', { text: `noise ${n}` })
    expect((await talk.ask('echo', { ok: true })).result).toEqual({ ok: true })
    expect(lines.slice(0, 2)).toEqual([{ line: 'Server ready' }, { line: '{"level":"info"}' }])
    expect(lines).toHaveLength(20)
    expect(talk.malformed).toEqual([])
  })

  it('is a typed error for the caller if it was meant as an answer, and the server lives on', async () => {
    const talk = await dial()
    const id = talk.tell('bytes', {
      base64: Buffer.concat([
        Buffer.from('{"jsonrpc":"2.0","id":1,"result":{"t":"'),
        Buffer.from([0xc3]),
        Buffer.from('"}}\n'),
      ]).toString('base64'),
    })
    await until(() => talk.malformed.length > 0)
    expect(talk.malformed).toMatchObject([{ error: { code: 'BACKEND_PROTOCOL' }, id, part: 'answer' }])
    expect((await talk.ask('echo', { ok: true })).result).toEqual({ ok: true })
  })

  it('of 100 MB in one line holds the event loop for less than 200 ms, and the next call is answered', async () => {
    const talk = await dial()
    await talk.ask('echo')
    const turns = watchTurns()
    const id = talk.tell('big', { bytes: 100_000_000 })
    expect((await talk.ask('echo', { ok: true })).result).toEqual({ ok: true })
    const longest = turns.stop()
    expect(talk.malformed).toMatchObject([{ error: { code: 'MESSAGE_TOO_LARGE' }, id, part: 'answer' }])
    expect(longest).toBeLessThan(200)
  })

  it('without end and without newline takes no memory', async () => {
    const talk = await dial('server.mjs', { maxLineBytes: 1024 * 1024 })
    await talk.ask('echo')
    const before = process.memoryUsage().rss
    talk.tell('endless')
    await new Promise(resolve => setTimeout(resolve, 500))
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6)
    expect(talk.closed).toBeUndefined()
  })

  it('on stderr is always read: 10 MB of it block nothing', async () => {
    const talk = await dial()
    expect((await talk.ask('stderr', { bytes: 10_000_000 })).result).toEqual({})
    const words = talk.channel.lastWords?.() ?? ''
    expect(words.split('\n')).toHaveLength(20)
    expect(words.length).toBeLessThan(11_000)
  })
})

describe('the end of a child process', () => {
  it('is told with its exit code and its last words', async () => {
    const talk = await dial('server.mjs', { redact: text => text.replaceAll('s3cret', '***') })
    talk.tell('exit', { code: 3, text: 'first\n\x1b[31mno such table: s3cret\x1b[0m' })
    const reason = await talk.end()
    expect(reason).toMatchObject({
      code: 'BACKEND_DIED',
      message: 'backend files exited with code 3',
      details: { backend: 'files', lastWords: 'no such table: ***' },
    })
    expect(talk.channel.lastWords?.()).toBe('first\nno such table: ***')
  })

  it('is told within a second when it is killed, with the signal', async () => {
    const talk = await dial()
    await talk.ask('echo')
    const before = performance.now()
    process.kill(talk.channel.pid as number, 'SIGKILL')
    expect(await talk.end()).toMatchObject({ code: 'BACKEND_DIED', message: 'backend files was ended by SIGKILL' })
    expect(performance.now() - before).toBeLessThan(1000)
  })

  it('in the middle of a message corrupts nothing; a whole message without newline still counts', async () => {
    const cut = await dial()
    cut.tell('partial')
    expect(await cut.end()).toMatchObject({ code: 'BACKEND_DIED' })
    expect(cut.messages).toEqual([])
    const last = await dial()
    last.tell('unended')
    expect(await last.end()).toMatchObject({ code: 'BACKEND_DIED' })
    expect(last.messages).toEqual([{ jsonrpc: '2.0', id: 1, result: { last: true } }])
  })

  it('does not outrun its last answer, though we learn of both in the turn in which we read for others', async () => {
    const go = join(mkdtempSync(join(tmpdir(), 'mcp-proxy-last-')), 'go')
    const answer = JSON.stringify({ jsonrpc: '2.0', id: 1, result: {} })
    const channel = await childProcess({ command: '/bin/sh', args: ['-c', `while [ ! -e ${go} ]; do sleep 0.02; done; echo '${answer}'`] })
    open.push(channel)
    const last = new Talk(channel)
    const other = spawn('/bin/sh', ['-c', 'echo first'], { stdio: ['ignore', 'pipe', 'ignore'] })
    // What this other one says, and its end, are there in one turn; the answer and the end come while we deal with it.
    other.stdout.on('data', () => {
      writeFileSync(go, '')
      block(400)
    })
    block(200)
    expect(await last.end()).toMatchObject({ code: 'BACKEND_DIED', message: 'the backend exited with code 0' })
    expect(last.messages).toHaveLength(1)
  })

  it('is the end of the channel even if something it started holds the pipes open', async () => {
    const talk = await dial('wrapper.mjs', {}, ['--gone'])
    await until(() => talk.messages.length > 0)
    const deaf = talk.messages[0]?.params?.['pid'] as number
    expect(await talk.end()).toMatchObject({ code: 'BACKEND_DIED', message: 'backend files exited with code 7' })
    await until(() => !isRunning(deaf), 2000)
    await talk.channel.close()
  })

  it.each([
    ['closeOutput', 'backend files closed its output'],
    ['closeInput', 'backend files closed its input'],
  ])('comes of %s, for a child that lives on is no use without', async (way, message) => {
    const talk = await dial()
    await talk.ask('echo')
    talk.tell(way)
    // A closed input shows when something is written to it.
    const more = way === 'closeInput' ? setInterval(() => talk.tell('echo'), 50) : undefined
    const reason = await talk.end().finally(() => clearInterval(more))
    expect(reason).toMatchObject({ code: 'BACKEND_DIED', message })
    await until(() => !isRunning(talk.channel.pid))
  })
})

describe('a child that does not read', () => {
  it('is given up after the drain deadline, and every caller hears of it', async () => {
    const talk = await dial('server.mjs', { stallMs: 300, queueBytes: 1_000_000 })
    await talk.ask('deaf')
    const before = performance.now()
    talk.tell('echo', { text: 'x'.repeat(900_000) })
    expect(await talk.end()).toMatchObject({ code: 'BACKEND_TIMEOUT', message: 'backend files does not read its input' })
    expect(performance.now() - before).toBeGreaterThan(250)
    await until(() => !isRunning(talk.channel.pid))
  })

  it('has a bounded queue: what does not fit is refused at once with its id', async () => {
    const talk = await dial('server.mjs', { queueBytes: 1_000_000 })
    await talk.ask('deaf')
    const ids = Array.from({ length: 20 }, () => talk.tell('echo', { text: 'x'.repeat(200_000) }))
    await until(() => talk.malformed.length > 0)
    const refused = talk.malformed.map(({ error, id, part }) => ({ code: error.code, id, part }))
    expect(refused.length).toBeGreaterThan(5)
    expect(refused).toEqual(ids.slice(-refused.length).map(id => ({ code: 'BACKEND_BUSY', id, part: 'answer' })))
    expect(talk.closed).toBeUndefined()
  })
})

describe('stopping', () => {
  it.each([[[]], [['--leave']], [['--detached']], [['--detached', '--leave']]])(
    'ends a wrapper %j and the deaf server behind it',
    async flags => {
      const talk = await dial('wrapper.mjs', {}, flags)
      await until(() => talk.messages.length > 0)
      const deaf = talk.messages[0]?.params?.['pid'] as number
      expect(isRunning(deaf)).toBe(true)
      await talk.channel.close()
      expect(isRunning(talk.channel.pid)).toBe(false)
      expect(isRunning(deaf)).toBe(false)
    },
  )

  it('gives a server that heeds the end of its input the time it needs', async () => {
    const talk = await dial('server.mjs', { stop: { eofMs: 2000 } })
    await talk.ask('echo')
    const before = performance.now()
    await talk.channel.close()
    expect(performance.now() - before).toBeLessThan(1000)
  })
})

describe('a start that fails', () => {
  const start = (command: string, spec: object = {}): Promise<Channel> => childProcess({ command, ...spec })
  it.each([
    ['an unknown command', 'no-such-command-x', {}, 'the command no-such-command-x was not found', /searched .*\/bin/],
    ['a missing file', './no/such/file', {}, /^there is no file \/.*\/no\/such\/file$/, undefined],
    ['a missing folder', 'node', { cwd: '/no/such/folder' }, 'the working folder /no/such/folder does not exist', undefined],
    ['a file that is no program', fixture('server.mjs'), {}, /server.mjs is not executable/, /^chmod \+x '/],
  ])('%s says so', async (_what, command, spec, message, hint) => {
    const error = (await start(command, spec).catch((thrown: unknown) => thrown)) as McpError
    expect(error.code).toBe('BACKEND_START_FAILED')
    expect(error.message).toMatch(message)
    if (hint) expect(error.details.hint).toMatch(hint)
  })
})
