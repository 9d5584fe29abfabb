/**
 * What any client may do with any server that has the fixtures' surface. Each scenario is told how names appear to the
 * client, so it runs through the proxy, and directly against a fixture as the control of the scenario itself.
 */
import { expect } from 'vitest'
import type { JsonObject } from '../../src/gateway/contract.ts'
import { eventually, firstText, type Answers, type TestClient } from '../fixtures/clients/client.ts'
import type { BackendKind, JournalEntry } from './harness.ts'

export interface Stage {
  readonly client: TestClient
  /** Another client of the same server, which declares nothing. */
  readonly mute?: TestClient | undefined
  readonly backend: BackendKind
  /** Several clients share the server: one of an older revision may be told all their roots, without asking again. */
  readonly shared?: boolean
  /** A tool's or prompt's name as the client sees it. */
  readonly name: (own: string) => string
  /** The same for URIs and URI templates, where servers share them. */
  readonly uri?: (own: string) => string
  /** Tells this run's entries from those of others in a journal that several write. */
  readonly tag?: string
  readonly journal: () => JournalEntry[]
  /** What a second server saw that no scenario calls. */
  readonly bystander: () => JournalEntry[]
}

export const roots = [{ uri: 'file:///srv/one', name: 'one' }, { uri: 'file:///srv/two' }]

/** A person who fills in every form. */
export const willing: Answers = {
  elicit: params =>
    params['mode'] === 'url' ? { action: 'accept' } : { action: 'accept', content: { name: 'Ada', age: 36, colour: 'red' } },
  elicitUrl: true,
  sample: params => {
    const [message] = params['messages'] as Array<{ content: { text: string } }>
    return { role: 'assistant', model: 'fixture-model', stopReason: 'endTurn', content: { type: 'text', text: `re: ${message?.content.text}` } }
  },
  roots: () => roots,
}

const parsed = async (client: TestClient, name: string, args?: JsonObject): Promise<any> => {
  const text = await client.say(name, args)
  try {
    return JSON.parse(text)
  } catch {
    throw new Error(`not JSON: ${text}`)
  }
}

const newAsks = async (client: TestClient, run: () => Promise<unknown>) => {
  const before = client.asks.length
  await run()
  return client.asks.slice(before)
}

/**
 * Progress without a gap. The SDKs forget a call's listener as soon as its result is read, and with it every step that was
 * read together with the result; that no step is lost on the way is for tests with a raw client.
 */
function expectSteps(steps: JsonObject[], count: number): void {
  expect(steps.length).toBeGreaterThan(0)
  expect(steps).toEqual(Array.from({ length: steps.length }, (_, i) => ({ progress: i + 1, total: count, message: `step ${i + 1}` })))
}

type Scenario = (stage: Stage) => Promise<void>

const asIs = (own: string) => own

export const scenarios: Record<string, Scenario> = {
  'lists tools, prompts, resources and templates': async ({ client, name, uri = asIs }) => {
    const tools = (await client.tools()).map(tool => tool['name'])
    expect(tools).toEqual(expect.arrayContaining(['echo', 'ask_form', 'slow'].map(name)))
    expect((await client.prompts()).map(prompt => prompt['name'])).toEqual(expect.arrayContaining([name('greet')]))
    expect((await client.resources()).map(resource => resource['uri'])).toEqual(expect.arrayContaining([uri('test://note')]))
    expect((await client.templates()).map(template => template['uriTemplate'])).toEqual(expect.arrayContaining([uri('test://item/{id}')]))
  },

  'calls a tool': async ({ client, name }) => {
    expect(await client.say(name('echo'), { message: 'hi' })).toBe('hi')
    expect(await client.say(name('echo'), { message: 'ünïcödé \u2028 𝄞' })).toBe('ünïcödé \u2028 𝄞')
  },

  "passes a tool's own failure as a result": async ({ client, name }) => {
    expect(await client.call(name('fail'))).toMatchObject({ isError: true, content: [{ text: 'failed as asked' }] })
  },

  'passes structured content': async ({ client, name }) => {
    expect(await client.call(name('structured'), { n: 21 })).toMatchObject({ structuredContent: { twice: 42 } })
  },

  'answers an unknown tool with an error': async ({ client, name }) => {
    await expect(client.call(name('no_such_tool')).then(result => {
      if (result['isError']) throw new Error('an error result')
      return result
    })).rejects.toThrow()
  },

  'carries a form elicitation to the person and back': async ({ client, name }) => {
    const asks = await newAsks(client, async () => {
      const answer = await parsed(client, name('ask_form'), { message: 'Who are you?' })
      expect(answer).toMatchObject({ action: 'accept', content: { name: 'Ada', age: 36, colour: 'red' } })
    })
    expect(asks).toHaveLength(1)
    expect(asks[0]).toMatchObject({
      method: 'elicitation/create',
      params: { requestedSchema: { properties: { colour: { enum: ['red', 'green'] } }, required: ['name'] } },
    })
    expect(String(asks[0]?.params['message'])).toMatch(/Who are you\?$/)
  },

  'carries a url elicitation': async ({ client, name }) => {
    const asks = await newAsks(client, async () => {
      expect(await parsed(client, name('ask_url'))).toMatchObject({ action: 'accept' })
    })
    expect(asks).toHaveLength(1)
    expect(asks[0]?.params).toMatchObject({ mode: 'url', url: 'https://example.com/sign-in?flow=fixture' })
    // Older clients need an id to hear of the completion; the modern era has none.
    if (!client.modern) expect(asks[0]?.params['elicitationId']).toEqual(expect.any(String))
  },

  'carries a sampling request': async ({ client, name }) => {
    const asks = await newAsks(client, async () => {
      expect(await parsed(client, name('ask_model'), { prompt: 'one plus one' }))
        .toMatchObject({ role: 'assistant', model: 'fixture-model', content: { type: 'text', text: 're: one plus one' } })
    })
    expect(asks).toMatchObject([{ method: 'sampling/createMessage', params: { maxTokens: 16, temperature: 0.5, systemPrompt: 'answer in one word' } }])
  },

  'carries a roots request': async ({ client, name }) => {
    expect(await parsed(client, name('ask_roots'))).toMatchObject({ roots })
  },

  'carries several asks of one call': async ({ client, name, shared }) => {
    const asks = await newAsks(client, async () => {
      expect(await parsed(client, name('ask_all'), { message: 'all of it' })).toMatchObject({
        form: { action: 'accept', content: { name: 'Ada' } }, model: { content: { text: 're: all of it' } }, roots: { roots },
      })
    })
    const methods = asks.map(ask => ask.method).sort()
    if (shared && !methods.includes('roots/list')) methods.splice(1, 0, 'roots/list')
    expect(methods).toEqual(['elicitation/create', 'roots/list', 'sampling/createMessage'])
  },

  'carries several rounds with the state of the server': async ({ client, name }) => {
    const asks = await newAsks(client, async () => {
      expect(await parsed(client, name('ask_twice'))).toMatchObject({ state: { first: 'Ada' }, second: { action: 'accept' } })
    })
    expect(asks.map(ask => String(ask.params['message']).replace(/^.*?(\w+ question)$/, '$1'))).toEqual(['first question', 'second question'])
  },

  'asks in the middle of a prompt and of a resource': async ({ client, name, uri = asIs }) => {
    const prompt = await client.prompt(name('ask_prompt'))
    expect(JSON.parse((prompt['messages'] as any)[0].content.text)).toMatchObject({ action: 'accept', content: { name: 'Ada' } })
    const read = await client.read(uri('test://ask'))
    expect(JSON.parse((read['contents'] as any)[0].text)).toMatchObject({ action: 'accept', content: { name: 'Ada' } })
  },

  'keeps concurrent callers apart': async ({ client, name }) => {
    const words = Array.from({ length: 40 }, (_, i) => `word ${i}`)
    expect(await Promise.all(words.map(message => client.say(name('echo'), { message })))).toEqual(words)
  },

  'refuses what a client did not declare, without hanging': async ({ mute, name }) => {
    if (!mute) return
    const refused = (tool: string, args: JsonObject) =>
      mute.call(name(tool), args, { timeoutMs: 5000 }).then(result => result['isError'] === true || firstText(result) === '{"roots":[]}', error => {
        expect(String(error)).not.toMatch(/timed out/i)
        return true
      })
    expect(await refused('ask_form', { message: 'hello?' })).toBe(true)
    expect(await refused('ask_model', { prompt: 'hello?' })).toBe(true)
    // A legacy server was told that there may be roots: that this client has none is an answer too.
    expect(await refused('ask_roots', {})).toBe(true)
    expect(await mute.say(name('echo'), { message: 'still here' })).toBe('still here')
  },

  'reports progress': async ({ client, name }) => {
    let steps: JsonObject[] = []
    // A client that gets no processor time reads all steps together with the result: then the server is asked for slower ones.
    for (let delayMs = 20; steps.length === 0 && delayMs <= 500; delayMs *= 5) {
      steps = []
      expect(await client.say(name('steps'), { count: 5, delayMs }, { onProgress: step => void steps.push(step) })).toBe('done')
    }
    expectSteps(steps, 5)
    expect(await client.say(name('steps'), { count: 1 })).toBe('nobody listened')
  },

  'keeps progress of concurrent calls apart': async ({ client, name }) => {
    await Promise.all([3, 4, 5].map(async count => {
      const steps: JsonObject[] = []
      await client.call(name('steps'), { count, delayMs: 20 }, { onProgress: step => void steps.push(step) })
      expectSteps(steps, count)
    }))
  },

  'cancels one call at the server that owns it, and no other': async ({ client, name, journal, bystander, tag = client.kind }) => {
    const key = `cancel-${tag}`
    const abort = new AbortController()
    const doomed = client.call(name('slow'), { key }, { signal: abort.signal })
    const spared = client.say(name('slow'), { key: `${key}-spared`, ms: 150 })
    await eventually(() => journal().filter(entry => entry.event === 'started' && entry.key?.startsWith(key)).length === 2 || undefined, 'both calls to start')
    abort.abort('changed my mind')
    await expect(doomed).rejects.toThrow()
    await eventually(() => journal().find(entry => entry.event === 'cancelled' && entry.key === key), 'the cancellation at the server', 2000)
    expect(await spared).toBe('finished')
    expect(journal().filter(entry => entry.event === 'cancelled' && entry.key === `${key}-spared`)).toEqual([])
    expect(bystander().filter(entry => entry.event === 'cancelled' && entry.key?.startsWith(key))).toEqual([])
  },

  'gets prompts': async ({ client, name }) => {
    expect(await client.prompt(name('greet'), { name: 'Grace' })).toMatchObject({ messages: [{ role: 'user', content: { type: 'text', text: 'Hello, Grace!' } }] })
  },

  'reads resources and templates': async ({ client, uri = asIs }) => {
    const [note, item] = [uri('test://note'), uri('test://item/7')]
    expect(await client.read(note)).toMatchObject({ contents: [{ uri: note, text: 'a note that never changes' }] })
    expect(await client.read(item)).toMatchObject({ contents: [{ uri: item, text: 'item 7' }] })
  },

  'completes prompt and template arguments': async ({ client, name, uri = asIs }) => {
    expect(await client.complete({ ref: { type: 'ref/prompt', name: name('greet') }, argument: { name: 'name', value: 'a' } })).toEqual(['ada', 'alan'])
    expect(await client.complete({ ref: { type: 'ref/resource', uri: uri('test://item/{id}') }, argument: { name: 'id', value: 'b' } })).toEqual(['barbara'])
  },

  'tells of resource updates while subscribed': async ({ client, name, uri = asIs }) => {
    const counter = uri('test://counter')
    const stop = await client.subscribe({ resources: [counter] })
    const since = client.notifications.length
    await client.call(name('touch'))
    expect(await client.heard('notifications/resources/updated', since)).toMatchObject({ uri: counter })
    await stop()
    // Unsubscribing has no answer to wait for in the modern era: the server is asked after it.
    await client.say(name('echo'), { message: 'unsubscribed' })
    const after = client.notifications.length
    await client.call(name('touch'))
    await client.say(name('echo'), { message: 'touched' })
    await new Promise(resolve => setTimeout(resolve, 100))
    expect(client.notifications.slice(after).filter(seen => seen.method === 'notifications/resources/updated')).toEqual([])
  },

  'tells of list changes': async ({ client, name }) => {
    const stop = await client.subscribe({ lists: ['tools', 'prompts', 'resources'] })
    for (const [kind, list] of [['tool', 'tools'], ['prompt', 'prompts'], ['resource', 'resources']] as const) {
      const since = client.notifications.length
      await client.call(name('add'), { kind, name: `late_${kind}` })
      await client.heard(`notifications/${list}/list_changed`, since)
    }
    expect((await client.tools()).map(tool => tool['name'])).toContain(name('late_tool'))
    expect(await client.say(name('late_tool'))).toBe('late_tool')
    expect((await client.prompts()).map(prompt => prompt['name'])).toContain(name('late_prompt'))
    expect((await client.resources()).map(resource => resource['uri'])).toContain('test://extra/late_resource')
    await stop()
  },

  'delivers log messages at the level the client wants': async ({ client, name }) => {
    await client.logLevel('warning')
    const since = client.notifications.length
    await client.call(name('write_log'), { level: 'info', text: 'too quiet' })
    await client.call(name('write_log'), { level: 'error', text: 'loud enough' })
    const heard = await client.heard('notifications/message', since)
    expect(heard).toMatchObject({ level: 'error', data: 'loud enough' })
    expect(String(heard['logger'])).toMatch(/fixture$/)
    expect(client.notifications.slice(since).filter(seen => seen.method === 'notifications/message')).toHaveLength(1)
  },

  'tells the server who is calling and what it can do': async ({ client, name, backend }) => {
    const { capabilities, client: info } = await parsed(client, name('who'))
    expect(capabilities).toMatchObject({ elicitation: {}, sampling: {}, roots: {} })
    // A legacy server hears of its client once, when the proxy opens the connection; a modern one with each call.
    if (backend === 'v2-modern') expect(info).toMatchObject({ name: expect.stringContaining('test-') })
  },
}

/** The scenarios that every revision can express; asks of the person came in 2025-06-18, their url mode in 2025-11-25. */
export const oldest = ['lists tools, prompts, resources and templates', 'calls a tool', "passes a tool's own failure as a result",
  'answers an unknown tool with an error', 'carries a sampling request', 'carries a roots request', 'reports progress',
  'cancels one call at the server that owns it, and no other', 'gets prompts', 'reads resources and templates',
  'completes prompt and template arguments', 'tells of resource updates while subscribed'] as const
export const since20250618 = [...oldest, 'passes structured content', 'carries a form elicitation to the person and back',
  'carries several asks of one call', 'carries several rounds with the state of the server',
  'asks in the middle of a prompt and of a resource'] as const
export const since20251125 = [...since20250618, 'carries a url elicitation'] as const

export { firstText }
