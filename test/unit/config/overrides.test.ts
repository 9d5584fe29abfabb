/** Settings from the environment. */
import { describe, expect, it } from 'vitest'
import { scratch } from './write-config.ts'

const { load, inspect } = scratch()
const one = { mcpServers: { a: { command: 'x' } } }

describe('a variable', () => {
  it.each([
    ['MCP_PROXY_LOG_LEVEL', 'debug', { log: { level: 'debug' } }],
    ['MCP_PROXY_STARTWAIT', '2s', { startWait: 2000 }],
    ['MCP_PROXY_START_WAIT', '2s', { startWait: 2000 }],
    ['MCP_PROXY_LISTEN_HTTP_PORT', '0', { listen: { http: { port: 0, host: '127.0.0.1' } } }],
    [
      'MCP_PROXY_LISTEN_HTTP_ALLOWED_HOSTS',
      'a.example, b.example',
      { listen: { http: { allowedHosts: ['a.example', 'b.example'] } } },
    ],
    ['MCP_PROXY_DAEMON_ENABLED', 'false', { daemon: { enabled: false } }],
    ['MCP_PROXY_DAEMON_ENABLED', '0', { daemon: { enabled: false } }],
    ['MCP_PROXY_NAMES_MAX_LENGTH', '50', { names: { maxLength: 50 } }],
    ['MCP_PROXY_NAMES_MAXLENGTH', '50', { names: { maxLength: 50 } }],
    ['MCP_PROXY_DEFAULTS_TIMEOUTS_CALL', '9s', { backends: [{ timeouts: { call: 9000 } }] }],
  ])('%s=%s wins over the file', async (name, value, expected) => {
    const { config, problems } = await load({ ...one, log: { level: 'error' }, startWait: '9s' }, { env: { [name]: value } })
    expect(problems).toEqual([])
    expect(config).toMatchObject(expected)
  })

  it('that is empty says nothing', async () => {
    expect((await load(one, { env: { MCP_PROXY_LOG_LEVEL: '' } })).config.log.level).toBe('info')
  })

  it('with a wrong value is an error that names it', async () => {
    const { problems, loaded } = await inspect(one, { env: { MCP_PROXY_LOG_LEVEL: 'loud' } })
    expect(loaded).toBeUndefined()
    expect(problems).toMatchObject([
      {
        severity: 'error',
        code: 'BAD_VALUE',
        file: 'environment',
        path: 'MCP_PROXY_LOG_LEVEL',
        message: expect.stringContaining('MCP_PROXY_LOG_LEVEL: expected "debug"') as string,
      },
    ])
  })

  it('that is no setting is a warning with what was meant', async () => {
    const { problems } = await load(one, { env: { MCP_PROXY_LOG_LEVL: 'debug', MCP_PROXY_MCPSERVERS_A_COMMAND: 'rm' } })
    expect(problems).toMatchObject([
      { severity: 'warning', code: 'UNKNOWN_OVERRIDE', path: 'MCP_PROXY_LOG_LEVL', hint: 'did you mean MCP_PROXY_LOG_LEVEL?' },
      { severity: 'warning', code: 'UNKNOWN_OVERRIDE', path: 'MCP_PROXY_MCPSERVERS_A_COMMAND' },
    ])
  })

  it('with a meaning of its own is left alone', async () => {
    const env = {
      MCP_PROXY_CONFIG: 'x',
      MCP_PROXY_HOME: 'x',
      MCP_PROXY_TOKEN: 'x',
      MCP_PROXY_NO_DAEMON: '1',
      MCP_PROXY_PROFILE: 'x',
      MCP_PROXY__CHILD: 'x',
      OTHER: 'x',
    }
    expect((await load(one, { env })).problems).toEqual([])
  })

  it('does not hide that the file has something else in its way', async () => {
    const { problems } = await inspect({ ...one, log: 'loud' }, { env: { MCP_PROXY_LOG_LEVEL: 'debug' } })
    expect(problems).toMatchObject([{ code: 'WRONG_TYPE', path: 'log' }])
  })
})
