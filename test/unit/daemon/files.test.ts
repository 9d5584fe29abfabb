import { chmodSync, closeSync, fstatSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { forgetCrashes, heldForMs, heldUntil, pauses, recordCrash } from '../../../src/daemon/crashes.ts'
import { LogFile, openLogFile } from '../../../src/daemon/log-file.ts'
import { daemonPlace, prepare, socketOf } from '../../../src/daemon/place.ts'
import { fingerprint, isSame, readState, variablesIn, writeState } from '../../../src/daemon/state.ts'

let folder: string
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'mcp-proxy-files-'))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const placesOf = (root: string) => ({
  config: root, cache: join(root, 'cache'), state: join(root, 'state'), runtime: join(root, 'run'), credentials: join(root, 'credentials.json'),
})

describe('where a daemon is found', () => {
  it('is one place per config folder and file', () => {
    const place = daemonPlace(placesOf('/a'), '/c/one.json')
    expect(daemonPlace(placesOf('/a'), '/c/one.json')).toEqual(place)
    expect(daemonPlace(placesOf('/a'), '/c/two.json').socket).not.toBe(place.socket)
    expect(daemonPlace({ ...placesOf('/a'), config: '/b' }, '/c/one.json').socket).not.toBe(place.socket)
    expect(place.socket).toMatch(/^\/a\/run\/daemon-[0-9a-f]{12}\.sock$/)
    expect(place.log).toMatch(/^\/a\/state\/daemon-[0-9a-f]{12}\.log$/)
  })

  it('is the same through a link to the file', () => {
    const file = join(folder, 'one.json')
    writeFileSync(file, '{}')
    symlinkSync(file, join(folder, 'link.json'))
    expect(daemonPlace(placesOf('/a'), join(folder, 'link.json'))).toEqual(daemonPlace(placesOf('/a'), file))
  })

  it('is the same however a disk that knows no case is asked for it', () => {
    const spell = (path: string): string => path.replace(/^.*$/, '/C/One.json')
    const [one, other] = ['/c/one.json', '/C/ONE.json'].map(file => daemonPlace(placesOf('/a'), file, 'darwin', spell))
    expect(one?.socket).toBe(other?.socket)
    // What is told to others is what was typed.
    expect(one?.file).toBe('/c/one.json')
  })

  it('has a short socket path whatever the folder is called', () => {
    const long = placesOf(`/home/${'long/'.repeat(30)}`)
    const { socket } = daemonPlace(long, '/c/one.json')
    expect(Buffer.byteLength(socket)).toBeLessThanOrEqual(103)
    expect(socket.startsWith(join(tmpdir(), `mcp-proxy-${userInfo().uid}-`))).toBe(true)
    expect(daemonPlace(long, '/c/two.json').socket).not.toBe(socket)
  })

  it('is a named pipe on Windows, of this user', () => {
    const place = daemonPlace(placesOf('C:\\x'), 'C:\\c\\one.json', 'win32')
    expect(place.socket).toMatch(/^\\\\\.\\pipe\\mcp-proxy-[0-9a-f]{12}-[0-9a-f]{12}$/)
    // The one before still has its name while it serves its last clients.
    expect(socketOf(place, 'n1', 'win32')).toBe(`${place.socket}-n1`)
    expect(socketOf(place, 'n1', 'linux')).toBe(place.socket)
  })

  it('is made for its user alone, and refused where others could write', async () => {
    const place = daemonPlace(placesOf(folder), join(folder, 'one.json'))
    await prepare(place)
    expect(statSync(join(folder, 'run')).mode & 0o777).toBe(0o700)
    expect(statSync(join(folder, 'state')).mode & 0o777).toBe(0o700)
    await prepare(place)
    chmodSync(join(folder, 'run'), 0o777)
    await expect(prepare(place)).rejects.toThrow(/others/)
  })

  it('is no link in the temporary folder', async () => {
    const place = { ...daemonPlace(placesOf(folder), join(folder, 'one.json')), socket: join(folder, 'sockets', 'a.sock') }
    mkdirSync(join(folder, 'elsewhere'), { mode: 0o700 })
    symlinkSync(join(folder, 'elsewhere'), join(folder, 'sockets'))
    await expect(prepare(place)).rejects.toThrow(/others/)
  })
})

describe('crashes in a row', () => {
  const record = () => join(folder, 'crashes.json')

  it('make the pause before the next start longer, and in the end hold it', async () => {
    let now = 1_000_000
    const found: unknown[] = []
    for (let n = 0; n <= pauses.length; n++) found.push(await recordCrash(record(), now, (now += 2_000)))
    expect(found).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, undefined])
    expect(await heldUntil(record(), now)).toBe(now + heldForMs)
    expect(await heldUntil(record(), now + heldForMs)).toBeUndefined()
  })

  it('count anew after one that lived for a while, after a long time, and when somebody says so', async () => {
    await recordCrash(record(), 0, 1_000)
    expect(await recordCrash(record(), 1_000, 2_000)).toBe(2_000)
    expect(await recordCrash(record(), 2_000, 70_000)).toBe(1_000)
    expect(await recordCrash(record(), 71_000 + heldForMs, 72_000 + heldForMs)).toBe(1_000)
    await forgetCrashes(record())
    expect(await recordCrash(record(), 1_000, 2_000)).toBe(1_000)
  })

  it('are none where the record is broken', async () => {
    writeFileSync(record(), '{"crashes":"many"}')
    expect(await heldUntil(record())).toBeUndefined()
    expect(await recordCrash(record(), 0, 1)).toBe(1_000)
  })
})

describe('what a daemon says of itself', () => {
  const state = { pid: 7, nonce: 'n', version: '1.0.0', socket: '/s', token: 't', variables: ['A'], fingerprint: 'f' }
  const file = () => join(folder, 'state.json')

  it('is read as it was written, by its user alone', async () => {
    await writeState(file(), state)
    expect(await readState(file())).toEqual(state)
    expect(statSync(file()).mode & 0o777).toBe(0o600)
    chmodSync(file(), 0o644)
    expect(await readState(file())).toBeUndefined()
  })

  it.each(['', '{', '[]', 'null', '{"pid":"7"}', JSON.stringify({ ...state, variables: undefined })])('is nothing when it is %j', async text => {
    writeFileSync(file(), text, { mode: 0o600 })
    expect(await readState(file())).toBeUndefined()
  })

  it('compares tokens whatever their lengths', () => {
    expect([isSame('abc', 'abc'), isSame('abc', 'abd'), isSame('abc', ''), isSame('abc', 'abcabc')]).toEqual([true, false, false, false])
  })
})

describe('the environment a config reads', () => {
  it('is the variables its texts name', () => {
    const written = {
      a: { env: { X: '${ONE}', Y: 'x-${env:TWO:-none}-${THREE:-3}' }, args: ['${cred:FOUR}', '$${NOT}${', '${file:/x}'] },
    }
    expect(variablesIn([written])).toEqual(expect.arrayContaining(['ONE', 'TWO', 'THREE', 'FOUR']))
    expect(variablesIn({ a: 'plain' })).toEqual([])
  })

  it('is the same when those are, and only then', () => {
    const of = (env: Record<string, string>, token = 't') => fingerprint(['A', 'B'], env, token)
    expect(of({ A: '1', C: 'x' })).toBe(of({ C: 'y', A: '1' }))
    const all = [of({}), of({ A: '' }), of({ A: '1' }), of({ A: '1', B: '1' }), of({ B: '1' }), of({ A: '1' }, 'other')]
    expect(new Set(all).size).toBe(all.length)
  })

  it('includes settings of ours, not words about this process', () => {
    const of = (env: Record<string, string>) => fingerprint([], env, 't')
    expect(of({ MCP_PROXY_LOG_LEVEL: 'debug' })).not.toBe(of({}))
    expect(of({ MCP_PROXY_CLIENT: 'x', MCP_PROXY_HOME: '/y', MCP_PROXY__Z: '1', MCP_PROXY_NO_DAEMON: '', MCP_PROXY_START_WAIT: '' })).toBe(of({}))
  })
})

describe('the log file', () => {
  it('stays within its bounds, and the newest lines are kept', async () => {
    const path = join(folder, 'a.log')
    const log = new LogFile(path, { bytes: 1000, older: 2 })
    for (let n = 0; n < 200; n++) log.write(`line ${n} ${'x'.repeat(30)}\n`)
    await new Promise<void>(resolve => log.end(resolve))
    expect(readdirSync(folder).sort()).toEqual(['a.log', 'a.log.1', 'a.log.2'])
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).size).toBeLessThanOrEqual(1000)
    expect(readFileSync(path, 'utf8')).toContain('line 199')
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it('goes on where it ended, and rotates what is full already', () => {
    const path = join(folder, 'a.log')
    writeFileSync(path, 'x'.repeat(2000))
    const log = new LogFile(path, { bytes: 1000, older: 1 })
    log.write('new\n')
    log.destroy()
    expect(readFileSync(path, 'utf8')).toBe('new\n')
    const again = new LogFile(path, { bytes: 1000, older: 1 })
    again.write('more\n')
    again.destroy()
    expect(readFileSync(path, 'utf8')).toBe('new\nmore\n')
  })

  it('is where a crash is told, whose words come by the descriptor of the start', () => {
    const path = join(folder, 'a.log')
    const words = openLogFile(path, { bytes: 100, older: 1 })
    const log = new LogFile(path, { bytes: 100, older: 1 })
    for (let n = 0; n < 5; n++) log.write(`${'x'.repeat(60)}\n`)
    writeSync(words, 'what a crash says\n')
    expect(readFileSync(path, 'utf8')).toContain('what a crash says')
    closeSync(words)
    log.destroy()
  })

  it.skipIf(process.platform === 'win32').each(['moved away', 'deleted'])('empties no file that was %s, and begins one in its place', how => {
    const path = join(folder, 'a.log')
    const kept = join(folder, 'kept')
    const log = new LogFile(path, { bytes: 100, older: 1 })
    log.write(`${'x'.repeat(60)}\n`)
    if (how === 'deleted') rmSync(path)
    else renameSync(path, kept)
    log.write('the last one\n')
    for (let n = 0; n < 2; n++) log.write(`${'y'.repeat(60)}\n`)
    if (how === 'moved away') expect(readFileSync(kept, 'utf8')).toBe(`${'x'.repeat(60)}\nthe last one\n`)
    expect(readFileSync(path, 'utf8')).toBe(`${'y'.repeat(60)}\n`)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    log.destroy()
  })

  it('closes nobody else’s file where its folder is gone', () => {
    const home = join(folder, 'state')
    mkdirSync(home)
    const log = new LogFile(join(home, 'a.log'), { bytes: 100, older: 1 })
    rmSync(home, { recursive: true })
    for (let n = 0; n < 2; n++) log.write(`${'x'.repeat(60)}\n`)
    // Whoever opens something next may be given the number that the log had.
    const other = openSync('/dev/null', 'r')
    for (let n = 0; n < 2; n++) log.write(`${'x'.repeat(60)}\n`)
    expect(() => fstatSync(other)).not.toThrow()
    closeSync(other)
    log.destroy()
  })
})
