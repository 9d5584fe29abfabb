/** Completion knows what the command line knows. The scripts are tried by the shells themselves in test/deploy/shells.test.ts. */
import { describe, expect, it } from 'vitest'
import { commandLine, commands } from '../../../src/cli/command.ts'
import { wordsOf } from '../../../src/cli/completion.ts'
import { shells } from '../../../src/cli/shells.ts'
import { clientIds } from '../../../src/clients/client.ts'
import { fakeIo } from './fake-io.ts'

async function ran(...argv: string[]) {
  const io = fakeIo()
  const code = await commandLine(argv, io).run()
  return { code, out: io.out(), err: io.err() }
}

describe('completion', () => {
  it.each(shells)('prints a script for %s that names every command, and where to put it', async shell => {
    const { code, out, err } = await ran('completion', shell)
    expect([code, err]).toEqual([0, ''])
    for (const { name } of commands) expect(out).toMatch(new RegExp(`\\b${name}\\b`))
    expect(out.split('\n', 2).join('\n')).toContain(`mcp-proxy completion ${shell}`)
    expect(out).toContain('mcp-proxy-server')
  })

  it('refuses other shells', async () => expect((await ran('completion', 'tcsh')).code).toBe(2))

  it('knows commands of commands, flags with their values, and what arguments may be', async () => {
    const words = new Map((await wordsOf(fakeIo())).map(word => [word.path.join(' '), word]))
    const next = (path: string): string[] => words.get(path)!.next.map(({ text }) => text)
    expect(next('')).toEqual(commands.map(({ name }) => name))
    expect(next('credentials')).toEqual(['list', 'set', 'remove', 'check'])
    expect(next('install')).toEqual([...clientIds])
    expect(next('template show')).toContain('client-cursor')
    expect(next('list')).toEqual(['tools', 'resources', 'templates', 'prompts'])
    expect(words.get('validate')!.file).toBe(true)
    const flag = (path: string, text: string) => words.get(path)!.flags.find(one => one.text === text)
    expect(flag('', '--log-format')?.takes).toEqual({ file: false, values: ['pretty', 'json'] })
    expect(flag('run', '--config')?.takes).toEqual({ file: true, values: [] })
    expect(flag('run', '--client')?.takes?.values).toEqual([...clientIds])
    expect(flag('serve', '--http')?.takes).toBeUndefined()
    expect(flag('install', '--http')?.takes).toEqual({ file: false, values: [] })
    expect([flag('', '--version'), flag('run', '--version')].map(Boolean)).toEqual([true, false])
  })
})
