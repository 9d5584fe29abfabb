/** From a file to a config: defaults, inheritance, paths, and what holds one backend back while the others serve. */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { BackendConfig } from '../../../src/config/config.ts'
import type { Loaded } from '../../../src/config/load.ts'
import { McpError } from '../../../src/gateway/errors.ts'
import { scratch } from './write-config.ts'

const { folder, write, load, inspect } = scratch()

const backend = ({ config }: Loaded, alias: string): BackendConfig => {
  const found = config.backends.find(entry => entry.alias === alias)
  if (!found) throw new Error(`no backend ${alias}`)
  return found
}

const one = { mcpServers: { a: { command: 'node' } } }

describe('rules', () => {
  it('that give two names to one are warned of, with the place of the second', async () => {
    const { problems } = await load({ mcpServers: { a: { command: 'node', tools: { rename: { x: 'z', y: 'z', constructor: 'w' } }, prompts: { rename: { x: 'z' } } } } })
    expect(problems).toMatchObject([{ severity: 'warning', code: 'CONFLICT', path: 'mcpServers.a.tools.rename.y', message: expect.stringContaining('x has this name already') }])
  })
})

describe('two lists of tools in two spellings', () => {
  const both = async (server: object) => {
    const { config, problems } = await load({ mcpServers: { a: { command: 'node', ...server } } })
    expect(problems).toEqual([])
    return config.backends[0]?.tools
  }
  it('will do where one says all that the other says', async () => {
    expect(await both({ tools: { exclude: ['rm'] }, disabledTools: [] })).toMatchObject({ exclude: ['rm'] })
    expect(await both({ tools: { exclude: ['rm', 'x'] }, disabledTools: ['rm'] })).toMatchObject({ exclude: ['rm', 'x'] })
    expect(await both({ disabledTools: [], excludeTools: ['rm'] })).toMatchObject({ exclude: ['rm'] })
    expect(await both({ tools: { include: ['a', 'b'] }, enabledTools: ['b', 'a'] })).toMatchObject({ include: ['a', 'b'] })
  })
  it.each([
    { tools: { exclude: ['x'] }, disabledTools: ['rm'] },
    { tools: { include: ['a'] }, enabledTools: ['a', 'b'] },
    { tools: { include: ['a'] }, enabledTools: [] },
    { tools: { exclude: ['x'] }, disabledTools: 'rm' },
  ])('is an error where not: %j', async server => expect(both(server)).rejects.toMatchObject({ details: { problems: [{ code: 'CONFLICT' }] } }))
})

describe('defaults', () => {
  it('fill everything that is not said', async () => {
    const { config, problems } = await load(one)
    expect(problems).toEqual([])
    expect(config).toEqual({
      backends: [
        {
          alias: 'a',
          enabled: true,
          problems: [],
          transport: 'stdio',
          balance: 'least-loaded',
          start: 'lazy',
          share: 'auto',
          idleTimeout: 600_000,
          endpoints: [{ kind: 'command', command: 'node', args: [], env: {}, cwd: folder, backup: false }],
          restart: { backoff: 1000, maxBackoff: 60_000, resetAfter: 60_000, holdAfter: 5 },
          breaker: { failures: 5, openFor: 30_000 },
          timeouts: { connect: 5000, start: 30_000, install: 120_000, call: 60_000, max: 600_000 },
          limits: { concurrency: 64, queue: 256, messageBytes: 16 * 1024 * 1024 },
          roots: undefined,
          idempotent: [],
          tools: { include: undefined, exclude: [], rename: {}, describe: {} },
          prompts: { include: undefined, exclude: [], rename: {}, describe: {} },
          resources: { include: undefined, exclude: [] },
        },
      ],
      names: { separator: '__', prefix: 'always', maxLength: 64 },
      startWait: 5000,
      listen: { http: undefined, socket: undefined },
      log: { level: 'info', format: undefined, file: undefined },
      daemon: { enabled: true, idleTimeout: 900_000 },
      catalog: { cache: true, maxAge: 86_400_000 },
      clients: {},
    })
  })

  it('of the file come between a backend and ours, groups key by key', async () => {
    const loaded = await load({
      mcpServers: {
        a: { command: 'x', timeouts: { start: '1s' }, env: { B: '2' } },
        b: { command: 'x', start: 'lazy', tools: { exclude: ['y'] } },
      },
      defaults: {
        start: 'eager',
        timeouts: { call: '2m', start: '9s' },
        env: { A: '1', B: '1' },
        tools: { include: ['x'], exclude: ['z'] },
      },
    })
    expect(backend(loaded, 'a')).toMatchObject({
      start: 'eager',
      timeouts: { start: 1000, call: 120_000, connect: 5000 },
      endpoints: [{ env: { A: '1', B: '2' } }],
      tools: { include: ['x'], exclude: ['z'] },
    })
    expect(backend(loaded, 'b')).toMatchObject({
      start: 'lazy',
      timeouts: { start: 9000 },
      tools: { include: ['x'], exclude: ['y'] },
    })
  })

  it('keep the order of the file', async () => {
    const { config } = await load({ mcpServers: { b: { command: 'x' }, a: { command: 'x' }, '9': { command: 'x' } } })
    expect(config.backends.map(({ alias }) => alias).sort()).toEqual(['9', 'a', 'b'])
    expect(config.backends.filter(({ alias }) => alias !== '9').map(({ alias }) => alias)).toEqual(['b', 'a'])
  })

  it('take every key of the reference', async () => {
    const { config, problems } = await load(
      `
# the example of the reference
mcpServers:
  files:
    command: npx
    args: ["-y", "@modelcontextprotocol/server-filesystem", "/data"]
    env: { LOG: "\${LOG:-info}", PORT: 8080, VERSION: 1.10, ON: true }
    cwd: .
    enabled: true
    start: lazy
    share: auto
    idleTimeout: 10m
    restart: { backoff: 0, maxBackoff: 60s, resetAfter: 60s, holdAfter: 0 }
    breaker: { failures: 0, openFor: 30s }
    timeouts: { connect: 5s, start: 30s, install: 120s, call: 60s, max: 10m }
    limits: { concurrency: 64, queue: 256, messageBytes: 16MiB }
    roots: ["file:///data", { uri: "file:///x", name: X }, sub]
    tools: { include: ["read_*"], exclude: [], rename: { read_text_file: read }, describe: { read: "…" } }
    resources: { include: ["*"] }
    prompts: { exclude: ["debug_*"] }
    idempotent: ["read_*"]
  github:
    url: https://example.com/mcp
    type: http
    headers: { Authorization: "Bearer \${cred:github}" }
    caFile: ca.pem
  search:
    instances: [ { command: node, args: [a.js] }, { url: "http://127.0.0.1:9/mcp", backup: true } ]
    balance: round-robin
    env: { A: "1" }
    headers: { X-A: b }
defaults: { start: lazy, share: auto, timeouts: { call: 60s } }
names: { separator: "__", prefix: onClash, maxLength: 64 }
startWait: 5s
listen: { http: { host: 127.0.0.1, port: 3050, path: /mcp, tokenFile: token, allowedHosts: [a.example], allowedOrigins: [], tls: { cert: c.pem, key: k.pem } }, socket: mcp.sock }
log: { level: info, format: pretty, file: proxy.log }
daemon: { enabled: true, idleTimeout: 15m }
catalog: { cache: true, maxAge: 24h }
x-anything: { at: all }
`,
      { name: 'whole.yaml', credential: name => (name === 'github' ? 'stored-value' : undefined) },
    )
    expect(problems).toEqual([])
    const [files, github, search] = config.backends
    expect(files).toMatchObject({
      restart: { backoff: 0, holdAfter: 0 },
      breaker: { failures: 0 },
      roots: [{ uri: 'file:///data' }, { uri: 'file:///x', name: 'X' }, { uri: pathToFileURL(join(folder, 'sub')).href }],
      tools: { include: ['read_*'], rename: { read_text_file: 'read' } },
      endpoints: [{ env: { LOG: 'info', PORT: '8080', VERSION: '1.10', ON: 'true' } }],
    })
    expect(github?.endpoints).toEqual([
      {
        kind: 'url',
        url: 'https://example.com/mcp',
        type: 'http',
        headers: { Authorization: 'Bearer stored-value' },
        caFile: join(folder, 'ca.pem'),
        backup: false,
      },
    ])
    expect(search).toMatchObject({
      balance: 'round-robin',
      transport: 'stdio',
      endpoints: [
        { kind: 'command', command: 'node', args: ['a.js'], env: { A: '1' }, backup: false },
        { kind: 'url', url: 'http://127.0.0.1:9/mcp', headers: { 'X-A': 'b' }, backup: true },
      ],
    })
    expect(config).toMatchObject({
      names: { prefix: 'onClash' },
      listen: {
        http: { tokenFile: join(folder, 'token'), tls: { cert: join(folder, 'c.pem'), key: join(folder, 'k.pem') } },
        socket: join(folder, 'mcp.sock'),
      },
      log: { format: 'pretty', file: join(folder, 'proxy.log') },
    })
  })
})

describe('paths', () => {
  it('start at the folder of the file, or at home', async () => {
    const { config } = await load({
      mcpServers: {
        bare: { command: 'node' },
        relative: { command: './bin/x', cwd: 'sub' },
        home: { command: '~/bin/x', cwd: '~' },
        absolute: { command: '/bin/x', cwd: '/' },
      },
    })
    expect(config.backends.map(({ endpoints: [endpoint] }) => endpoint)).toMatchObject([
      { command: 'node', cwd: folder },
      { command: join(folder, 'bin/x'), cwd: join(folder, 'sub') },
      { command: join(homedir(), 'bin/x'), cwd: homedir() },
      { command: '/bin/x', cwd: '/' },
    ])
  })

  it('of env files: later ones win, env wins over them', async () => {
    write('one.env', 'A=1\nB=1\nC=1\n')
    write('two.env', 'B=2\nC=2\n')
    const loaded = await load({ mcpServers: { a: { command: 'x', envFile: ['one.env', 'two.env'], env: { C: '3' } } } })
    expect(backend(loaded, 'a').endpoints).toMatchObject([{ env: { A: '1', B: '2', C: '3' } }])
    expect(loaded.files).toEqual([loaded.file, join(folder, 'one.env'), join(folder, 'two.env')])
  })

  it('of an env file as editors of Windows write it', async () => {
    write('marked.env', '\ufeffA=1\r\nB="2"\r\n')
    const loaded = await load({ mcpServers: { a: { command: 'x', envFile: 'marked.env' } } })
    expect(backend(loaded, 'a').endpoints).toMatchObject([{ env: { A: '1', B: '2' } }])
    expect(loaded.problems).toEqual([])
  })
})

describe('a value that concerns one backend', () => {
  it('holds that one back and lets the others serve', async () => {
    const loaded = await load({
      mcpServers: {
        good: { command: 'x' },
        bad: { command: 'x', args: ['${NONE}'], timeouts: { call: '${NOT}' }, start: 'eager' },
      },
    })
    expect(backend(loaded, 'good')).toMatchObject({ problems: [], endpoints: [{ command: 'x' }] })
    expect(backend(loaded, 'bad')).toMatchObject({ endpoints: [], start: 'eager', transport: 'stdio' })
    expect(backend(loaded, 'bad').problems).toMatchObject([
      { code: 'UNSET_VARIABLE', backend: 'bad', path: 'mcpServers.bad.args[0]', line: 9, column: 9 },
      { code: 'UNSET_VARIABLE', backend: 'bad', path: 'mcpServers.bad.timeouts.call' },
    ])
    expect(loaded.problems).toEqual(backend(loaded, 'bad').problems)
  })

  it.each([
    [{ command: 'x', envFile: 'none.env' }, 'MISSING_FILE', 'mcpServers.bad.envFile'],
    [{ command: '${NONE}' }, 'UNSET_VARIABLE', 'mcpServers.bad.command'],
    [{ url: '${NONE}' }, 'UNSET_VARIABLE', 'mcpServers.bad.url'],
    [{ url: 'https://${HOST}/' }, 'UNSET_VARIABLE', 'mcpServers.bad.url'],
    [{ command: 'x', env: { K: '${cred:none}' } }, 'UNKNOWN_CREDENTIAL', 'mcpServers.bad.env.K'],
    [{ command: 'x', env: { K: '${file:none}' } }, 'MISSING_FILE', 'mcpServers.bad.env.K'],
    [{ command: 'x', args: ['${input:key}'] }, 'BAD_REFERENCE', 'mcpServers.bad.args[0]'],
    [{ command: 'x', limits: { queue: '${WORD}' } }, 'BAD_VALUE', 'mcpServers.bad.limits.queue'],
    [{ url: 'https://a.example', headers: { K: '${LINES}' } }, 'BAD_VALUE', 'mcpServers.bad.headers.K'],
    [{ instances: ['${NONE}'] }, 'UNSET_VARIABLE', 'mcpServers.bad.instances[0]'],
    [{ instances: [{ command: 'x', envFile: 'none.env' }] }, 'MISSING_FILE', 'mcpServers.bad.instances[0].envFile'],
  ])('%j: %s', async (entry, code, path) => {
    const loaded = await load({ mcpServers: { bad: entry, good: { command: 'x' } } }, { env: { WORD: 'many', LINES: 'a\nb' } })
    expect(backend(loaded, 'bad').problems).toMatchObject([{ severity: 'error', code, path }])
    expect(backend(loaded, 'bad').endpoints).toEqual([])
    expect(backend(loaded, 'good').endpoints).toHaveLength(1)
  })

  it('quotes the reference, never what stood in its place', async () => {
    const { problems } = await load(
      { mcpServers: { bad: { command: 'x', limits: { queue: '${cred:q}' } } } },
      { credential: () => 'hunter22' },
    )
    expect(JSON.stringify(problems)).not.toContain('hunter22')
    expect(problems[0]?.message).toContain('${cred:q}')
  })

  it('carries what is wrong with the credentials', async () => {
    const credential = () => {
      throw new McpError('CREDENTIALS_UNSAFE', 'others can access it', { hint: 'chmod 600 it' })
    }
    const loaded = await load({ mcpServers: { bad: { command: 'x', env: { K: '${cred:k}' } } } }, { credential })
    expect(backend(loaded, 'bad').problems).toMatchObject([{ code: 'CREDENTIALS_UNSAFE', hint: 'chmod 600 it' }])
  })

  it('is not looked at while the backend is disabled', async () => {
    const loaded = await load(
      {
        mcpServers: {
          a: { command: 'x', enabled: false, args: ['${NONE}'], envFile: 'none', timeouts: { call: '${NO}' } },
          b: { command: 'x', enabled: '${ON:-false}' },
        },
      },
      {
        credential: () => {
          throw new Error('asked')
        },
      },
    )
    expect(loaded.config.backends).toMatchObject([
      { alias: 'a', enabled: false, problems: [], endpoints: [] },
      { alias: 'b', enabled: false, problems: [], endpoints: [] },
    ])
  })
})

describe('references', () => {
  it('may stand for numbers, switches and durations', async () => {
    const { config } = await load(
      {
        mcpServers: { a: { command: 'x', enabled: '${ON}', limits: { queue: '${QUEUE}' }, idleTimeout: '${IDLE}' } },
        listen: { http: { port: '${PORT}' } },
      },
      { env: { ON: 'true', QUEUE: '7', IDLE: '5m', PORT: '0' } },
    )
    expect(config).toMatchObject({
      backends: [{ enabled: true, limits: { queue: 7 }, idleTimeout: 300_000 }],
      listen: { http: { port: 0 } },
    })
  })

  it('are gathered as secrets, with those written out', async () => {
    write('token', 'from-the-file\n')
    const { secrets } = await load(
      {
        mcpServers: {
          a: {
            command: 'x',
            env: { A: '${cred:k}', API_KEY: 'written-out-1', LOG: 'info', MY_TOKEN: '${MY_TOKEN}' },
            args: ['${file:token}'],
          },
        },
      },
      { env: { MY_TOKEN: 'from-the-env' }, credential: () => 'from-the-store' },
    )
    expect([...secrets].sort()).toEqual(['from-the-env', 'from-the-file', 'from-the-store', 'written-out-1'])
  })

  it('are gathered also without what stands around them', async () => {
    const { secrets } = await load(
      {
        mcpServers: {
          far: { url: 'https://me:pass%20word-1@h/mcp?x=1&api_key=in-the-query&token=second-in-it', headers: { Authorization: 'Bearer ${PLAIN}' } },
          near: {
            command: 'x',
            args: ['--api-key', 'after-a-flag', '--token=with-a-flag', 'postgres://me:in-an-argument@h/db', '--dsn=postgres://me:in-a-flag@h/db', 'postgres://postgres:postgres@h/db'],
            env: { DATABASE_URL: 'postgres://me:in-a-variable@h/db' },
          },
          off: { enabled: false, command: 'x', args: ['--token', 'switched-off-1', '--key', '${NONE}'] },
        },
      },
      { env: { PLAIN: 'header-alone' } },
    )
    const wanted = ['pass word-1', 'in-the-query', 'second-in-it', 'header-alone', 'after-a-flag', 'with-a-flag', 'in-an-argument', 'in-a-flag', 'in-a-variable', 'switched-off-1']
    expect([...secrets]).toEqual(expect.arrayContaining(wanted))
    for (const word of ['postgres', '${NONE}', '--key']) expect(secrets).not.toContain(word)
  })

  it('tell which files to watch', async () => {
    const { files, file } = await load({ mcpServers: { a: { command: 'x', args: ['${file:none:-x}'] } } })
    expect(files).toEqual([file, join(folder, 'none')])
  })
})

describe('unknown keys', () => {
  it('are warnings when nothing like them is known', async () => {
    const { problems } = await load({ ...one, theme: 'dark', mcpServers: { a: { command: 'x', shoeSize: 43 } } })
    expect(problems).toMatchObject([
      { severity: 'warning', code: 'UNKNOWN_KEY', path: 'mcpServers.a.shoeSize', backend: 'a' },
      { severity: 'warning', code: 'UNKNOWN_KEY', path: 'theme' },
    ])
  })

  it('are free as $schema and x-…', async () => {
    const { problems } = await load({ $schema: './s.json', 'x-a': 1, mcpServers: { a: { command: 'x', 'x-b': { c: 1 } } } })
    expect(problems).toEqual([])
  })

  it('may be called like what every object has', async () => {
    const { problems, config } = await load(
      '{"mcpServers": {"constructor": {"command": "x", "env": {"toString": "1", "constructor": "2"}, "valueOf": 1}}}',
    )
    expect(problems).toMatchObject([{ severity: 'warning', path: 'mcpServers.constructor.valueOf' }])
    expect(config.backends[0]?.endpoints).toMatchObject([{ env: { toString: '1', constructor: '2' } }])
  })

  it('that have no effect where they stand are mentioned', async () => {
    const { problems } = await load({
      mcpServers: { a: { url: 'https://a.example', args: [] }, b: { command: 'x', headers: {} } },
    })
    expect(problems.map(({ severity, path }) => [severity, path])).toEqual([
      ['warning', 'mcpServers.a.args'],
      ['warning', 'mcpServers.b.headers'],
    ])
  })
})

describe('all problems', () => {
  it('are reported at once, in the order of the file, at most a hundred', async () => {
    const bad = Object.fromEntries(Array.from({ length: 150 }, (_, index) => [`s${index}`, { command: 'x', start: 'never' }]))
    const { problems, loaded } = await inspect({ mcpServers: bad, startWait: 'x' })
    expect(loaded).toBeUndefined()
    expect(problems).toHaveLength(100)
    expect(problems.map(({ line }) => line)).toEqual([...problems.map(({ line }) => line)].sort((a, b) => a - b))
  })

  it('do not lose a held backend among many', async () => {
    const bad = Object.fromEntries(Array.from({ length: 150 }, (_, index) => [`s${index}`, { command: 'x', args: ['${NONE}'] }]))
    const { config } = await load({ mcpServers: bad })
    expect(config.backends.every(({ problems, endpoints }) => problems.length === 1 && endpoints.length === 0)).toBe(true)
  })
})

describe('notations', () => {
  it('are told by the extension, else by the text', async () => {
    const yaml = 'mcpServers:\n  a:\n    command: x\n'
    for (const [name, text] of [
      ['c.yml', yaml],
      ['c.conf', yaml],
      ['c.txt', '// JSON\n{"mcpServers": {"a": {"command": "x",}}}'],
      ['c.jsonc', '/* */{"mcpServers":{"a":{"command":"x"}}}'],
    ] as const)
      expect((await load(text, { name })).config.backends[0]?.endpoints).toMatchObject([{ command: 'x' }])
  })

  it('allow anchors and merges in YAML', async () => {
    const { config, problems } = await load(
      'x-base: &base\n  command: x\n  env: &env { A: "1", B: "1" }\nmcpServers:\n  a:\n    <<: *base\n    env: { <<: *env, B: "2" }\n  b: *base\n',
      { name: 'm.yaml' },
    )
    expect(problems).toEqual([])
    expect(config.backends.map(({ endpoints }) => endpoints[0])).toMatchObject([
      { command: 'x', env: { A: '1', B: '2' } },
      { command: 'x', env: { A: '1', B: '1' } },
    ])
  })
})
