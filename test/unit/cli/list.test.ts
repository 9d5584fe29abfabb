import { describe, expect, it } from 'vitest'
import { list, type ListOptions } from '../../../src/cli/list.ts'
import { status } from '../../../src/cli/status.ts'
import { CancelSource, never } from '../../../src/gateway/cancellation.ts'
import { contextFor, fakeHouse, type FakeServer } from './fake-house.ts'
import { fakeIo } from './fake-io.ts'

const files: FakeServer = {
  tools: [{ name: 'read', description: 'Reads a file.\nMore words.', inputSchema: {}, 'x-vendor': 1 }],
  resources: [{ uri: 'file:///a', name: 'a', title: 'The file a' }],
  templates: [{ uriTemplate: 'file:///{path}', name: 'any file' }],
}
const notes: FakeServer = { tools: [{ name: 'add', title: 'Add a note', inputSchema: {} }], prompts: [{ name: 'daily', description: 'Today' }] }

async function listed(servers: Record<string, FakeServer>, options: Partial<ListOptions> = {}, flags: object = {}, tty = false) {
  const io = fakeIo({ tty, columns: 60, env: { NO_COLOR: '1' } })
  const code = await list({ kind: undefined, backend: undefined, cached: false, ...options }, fakeHouse(servers), contextFor(io, flags))
  return { code, out: io.out(), err: io.err() }
}

describe('list', () => {
  it('is one table per kind, in config order, under public names', async () => {
    const { code, out, err } = await listed({ files, notes })
    expect(code).toBe(0)
    expect(err).toBe('')
    expect(out).toBe(
      [
        'TOOL         SERVER  DESCRIPTION',
        'files__read  files   Reads a file.',
        'notes__add   notes   Add a note',
        '',
        'RESOURCE   SERVER  NAME',
        'file:///a  files   The file a',
        '',
        'TEMPLATE        SERVER  NAME',
        'file:///{path}  files   any file',
        '',
        'PROMPT        SERVER  DESCRIPTION',
        'notes__daily  notes   Today',
        '',
      ].join('\n'),
    )
  })

  it('is JSON with the origin of each item and everything its server said', async () => {
    const { out } = await listed({ files, notes }, {}, { json: true })
    const value = JSON.parse(out)
    expect(value.tools[0]).toEqual({ name: 'files__read', backend: 'files', originalName: 'read', description: 'Reads a file.\nMore words.', inputSchema: {}, 'x-vendor': 1 })
    expect(value.resources).toEqual([{ uri: 'file:///a', backend: 'files', originalUri: 'file:///a', name: 'a', title: 'The file a' }])
    expect(value.templates).toEqual([{ uriTemplate: 'file:///{path}', backend: 'files', originalUriTemplate: 'file:///{path}', name: 'any file' }])
    expect(value.prompts).toMatchObject([{ name: 'notes__daily', backend: 'notes', originalName: 'daily' }])
    expect(value.backends).toEqual([{ alias: 'files', state: 'healthy' }, { alias: 'notes', state: 'healthy' }])
  })

  it('can be of one kind and of one server', async () => {
    expect((await listed({ files, notes }, { kind: 'prompts' })).out).toBe('PROMPT        SERVER  DESCRIPTION\nnotes__daily  notes   Today\n')
    expect((await listed({ files }, { kind: 'prompts' })).out).toBe('no prompts\n')
    const { out } = await listed({ files, notes }, { backend: 'notes' }, { json: true })
    expect(JSON.parse(out)).toMatchObject({ tools: [{ name: 'notes__add' }], resources: [], backends: [{ alias: 'notes' }] })
    await expect(listed({ files }, { backend: 'flies' })).rejects.toMatchObject({ code: 'USAGE', details: { hint: 'configured are files' } })
  })

  it('is shorter for a broken server, says so, and fails only when all are broken', async () => {
    const some = await listed({ files, notes: { broken: 'no \x1b[2Jlicence' } }, {}, {}, true)
    expect(some.code).toBe(0)
    expect(some.out).toContain('files__read')
    expect(some.err).toBe('warning notes is held: no [2Jlicence\n')
    const all = await listed({ notes: { broken: 'no licence' } }, {}, { json: true })
    expect(all.code).toBe(3)
    expect(all.err).toBe('')
    expect(JSON.parse(all.out).backends).toEqual([{ alias: 'notes', state: 'held' }])
    expect((await listed({ notes: { broken: 'x', status: { state: 'disabled' } } })).code).toBe(0)
  })

  it('asks every server, unless what is known will do', async () => {
    const house = fakeHouse({ files, notes })
    const io = fakeIo()
    const all = { kind: undefined, backend: undefined }
    await house.house.gateway.members[0]!.offered()
    await list({ ...all, cached: true }, house, contextFor(io))
    expect(house.started).toEqual(['files', 'notes'])
    await list({ ...all, cached: true }, house, contextFor(io))
    expect(house.started).toEqual(['files', 'notes'])
    await list({ ...all, cached: false }, house, contextFor(io))
    expect(house.started).toEqual(['files', 'notes', 'files', 'notes'])
  })

  it('passes on what was odd in an offer', async () => {
    const { err } = await listed({ a: { tools: [{ name: 'x y', inputSchema: {} }] }, A: { tools: [{ name: 'z', inputSchema: {} }, { name: 'z', inputSchema: {} }] } })
    expect(err).toContain('lists a tool twice')
  })

  it('fits the window of a terminal', async () => {
    const long = { tools: [{ name: 't', description: 'word '.repeat(40), inputSchema: {} }] }
    for (const line of (await listed({ long }, {}, {}, true)).out.split('\n')) expect(line.length).toBeLessThanOrEqual(60)
    expect((await listed({ long })).out).toContain('word '.repeat(39))
  })
})

describe('status', () => {
  const shown = async (servers: Record<string, FakeServer>, flags: object = {}) => {
    const io = fakeIo({ env: { NO_COLOR: '1' } })
    const code = await status({ watch: false, interval: 10 }, fakeHouse(servers), contextFor(io, flags), never)
    return { code, out: io.out() }
  }

  it('is a table, and exit code 0 when all is well', async () => {
    const { code, out } = await shown({ files, off: { broken: 'x', status: { state: 'disabled', lastFailure: null } } })
    expect(code).toBe(0)
    expect(out).toMatch(/^SERVER +STATE +PROTOCOL +TRANSPORT +PID +TOOLS/)
    expect(out).toMatch(/^files +healthy +2025-11-25 x +stdio +42 +1 +1 +0 +0 +0$/m)
  })

  it('is exit code 3 and the reason when one is not', async () => {
    const { code, out } = await shown({ files, notes: { broken: 'no licence' } })
    expect(code).toBe(3)
    expect(out).toContain('notes: start failed 2026-01-01T00:00:00.000Z: no licence')
  })

  it('is the whole status as JSON', async () => {
    const { out } = await shown({ files }, { json: true })
    expect(JSON.parse(out)).toMatchObject({ version: '1', pid: 1, uptimeMs: 5, backends: [{ alias: 'files', state: 'healthy', lastFailure: null, tools: 1 }] })
  })

  it('watches until interrupted', async () => {
    const io = fakeIo({ tty: true })
    const source = new CancelSource()
    const watching = status({ watch: true, interval: 5 }, fakeHouse({ files }), contextFor(io), source)
    await expect.poll(() => io.out().split('\x1b[H\x1b[2J').length).toBeGreaterThan(2)
    expect(io.out()).toContain('\x1b[32mhealthy\x1b[39m')
    source.cancel()
    expect(await watching).toBe(130)
  })
})
