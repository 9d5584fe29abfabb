/** The example that the README starts with: three real servers merged, listed and called from the terminal. */
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { createSandbox, root } from './harness.ts'

describe('the quickstart', () => {
  const sandbox = createSandbox()
  const config = join(root, 'examples/quickstart/mcp-proxy.json')
  const run = (...args: string[]) => sandbox.run(args, { cwd: root })
  afterAll(() => sandbox.dispose())

  it('lists the merged tools of three real servers', async () => {
    const { code, stdout, stderr } = await run('list', '--config', config, '--json')
    expect(code, stderr).toBe(0)
    const listed = JSON.parse(stdout)
    const names: string[] = listed.tools.map((tool: { name: string }) => tool.name)
    expect(names).toEqual(expect.arrayContaining(['everything__echo', 'memory__read_graph']))
    expect(names.some(name => /__read_(text_)?file$/.test(name))).toBe(true)
    expect(names).toEqual([...new Set(names)])
    for (const tool of listed.tools) expect(tool.name).toBe(`${tool.backend}__${tool.originalName}`)
    expect(listed.backends).toHaveLength(3)
    expect(listed.backends.every((backend: { state: string }) => backend.state === 'healthy')).toBe(true)
    expect(listed.resources.length).toBeGreaterThan(0)
    expect(listed.prompts.length).toBeGreaterThan(0)
  })

  it('lists one kind alone', async () => {
    await Promise.all(['tools', 'resources', 'templates', 'prompts'].map(async kind => {
      const { code, stdout, stderr } = await run('list', kind, '--config', config, '--json')
      expect(code, stderr).toBe(0)
      expect(JSON.parse(stdout)[kind].length).toBeGreaterThan(0)
    }))
  })

  it('calls a tool', async () => {
    const [plain, json] = await Promise.all([
      run('call', 'everything__echo', '{"message":"hi"}', '--config', config),
      run('call', 'everything__echo', '{"message":"hi"}', '--config', config, '--json'),
    ])
    expect(plain.code, plain.stderr).toBe(0)
    expect(plain.stdout).toContain('hi')
    expect(JSON.parse(json.stdout).content[0].text).toMatch(/hi/)
  })

  it('takes arguments from stdin', async () => {
    const { code, stdout } = await sandbox.run(['call', 'everything__echo', '-', '--config', config, '--json'], { cwd: root, input: '{"message":"piped"}' })
    expect(code).toBe(0)
    expect(JSON.parse(stdout).content[0].text).toMatch(/piped/)
  })

  it('reads a resource and gets a prompt', async () => {
    const listed = JSON.parse((await run('list', '--config', config, '--json')).stdout)
    const resource = listed.resources.find((item: { backend: string }) => item.backend === 'everything')
    const simple = listed.prompts.find((item: { originalName: string; arguments?: unknown[] }) => !item.arguments?.length)
    const [read, prompt] = await Promise.all([
      run('read', resource.uri, '--config', config, '--json'),
      run('prompt', simple.name, '--config', config, '--json'),
    ])
    expect(read.code, read.stderr).toBe(0)
    expect(JSON.parse(read.stdout).contents.length).toBeGreaterThan(0)
    expect(prompt.code, prompt.stderr).toBe(0)
    expect(JSON.parse(prompt.stdout).messages.length).toBeGreaterThan(0)
  })

  it('says with its exit code that a call failed', async () => {
    const { code, stderr, stdout } = await run('call', 'everything__no_such_tool', '{}', '--config', config, '--json')
    expect(code).toBe(1)
    expect(stdout).toBe('')
    expect(JSON.parse(stderr.trim().split('\n').at(-1) as string)).toMatchObject({ error: { code: expect.any(String), message: expect.stringContaining('no_such_tool') } })
  })
})
