/** The effective config: every value with its origin, no secret in it. */
import { expect, it } from 'vitest'
import { showConfig } from '../../../src/config/show.ts'
import { scratch } from './write-config.ts'

const { load } = scratch()

const shown = async (...args: Parameters<typeof load>) => {
  const loaded = await load(...args)
  const rows = await showConfig(loaded)
  return new Map(rows.map(({ path, value, origin }) => [path, [value, origin.replace(loaded.file, 'FILE')] as const]))
}

const config = `{
  "mcpServers": {
    "a": {
      "command": "x",
      "args": ["--port", "\${PORT}", "--key", "\${cred:k}"],
      "env": { "API_KEY": "written-out-1", "LOG": "info", "LOST": "\${NONE}" },
      "timeouts": { "call": "9s" }
    },
    "b": {
      "serverUrl": "https://u:pass-word@a.example/mcp?k=stored-value",
      "headers": { "Authorization": "Bearer \${cred:k}" }
    }
  },
  "defaults": {
    "start": "eager", "env": { "SHARED": "1" }, "timeouts": { "max": "2m" }
  },
  "log": { "level": "debug" }
}`
const options = { env: { PORT: '80', MCP_PROXY_START_WAIT: '1s' }, credential: () => 'stored-value' }

it('names the origin of every value', async () => {
  const rows = await shown(config, options)
  expect(rows.get('log.level')).toEqual(['debug', 'FILE:17:21'])
  expect(rows.get('startWait')).toEqual(['1s', 'environment MCP_PROXY_START_WAIT'])
  expect(rows.get('names.separator')).toEqual(['__', 'default'])
  expect(rows.get('mcpServers.a.command')).toEqual(['x', 'FILE:4:18'])
  expect(rows.get('mcpServers.a.start')).toEqual(['eager', 'defaults FILE:15:14'])
  expect(rows.get('mcpServers.a.timeouts.call')).toEqual(['9s', 'FILE:7:29'])
  expect(rows.get('mcpServers.a.timeouts.max')).toEqual(['2m', 'defaults FILE:15:70'])
  expect(rows.get('mcpServers.a.timeouts.start')).toEqual(['30s', 'default'])
  expect(rows.get('mcpServers.a.env.SHARED')?.[1]).toMatch(/^defaults FILE:/)
  // Written as serverUrl; the place is that key's value.
  expect(rows.get('mcpServers.b.url')?.[1]).toMatch(/^FILE:10:/)
})

it('leaves out what is off', async () => {
  const rows = await shown(config, options)
  expect([...rows.keys()].filter(path => path.startsWith('listen'))).toEqual([])
})

it('masks secrets and shows references that have no value', async () => {
  const rows = await shown(config, options)
  expect(rows.get('mcpServers.a.args')?.[0]).toEqual(['--port', '80', '--key', '[secret]'])
  expect(rows.get('mcpServers.a.env.API_KEY')?.[0]).toBe('[secret]')
  expect(rows.get('mcpServers.a.env.LOG')?.[0]).toBe('info')
  expect(rows.get('mcpServers.a.env.LOST')?.[0]).toBe('${NONE}')
  expect(rows.get('mcpServers.b.headers.Authorization')?.[0]).toBe('[secret]')
  expect(JSON.stringify([...rows])).not.toMatch(/stored-value|written-out|pass-word/)
})
