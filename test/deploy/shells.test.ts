/** The completion scripts in the shells they are for: what is offered at the cursor. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bin } from '../e2e/harness.ts'
import { shells } from '../../src/cli/shells.ts'
import { need, ok } from './tools.ts'

let folder: string
beforeAll(() => {
  need('bash', 'zsh', 'fish')
  folder = mkdtempSync(join(tmpdir(), 'mcp-proxy-shells-'))
  for (const shell of shells) writeFileSync(join(folder, shell), ok(process.execPath, [bin, 'completion', shell]))
  writeFileSync(join(folder, 'a-config.json'), '')
  // fish and zsh want to know that there is such a program.
  writeFileSync(join(folder, 'mcp-proxy'), '#!/bin/sh\n')
  chmodSync(join(folder, 'mcp-proxy'), 0o755)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const env = (): Record<string, string> => ({ HOME: folder, PATH: `${folder}:${process.env['PATH']}`, TERM: 'dumb', XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder })

/** The line as typed, the last word unfinished → what is offered. */
const offers: Readonly<Record<(typeof shells)[number], (line: string) => string[]>> = {
  bash(line) {
    const words = line.split(' ')
    const script = `source ${folder}/bash; COMP_WORDS=(${words.map(word => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _mcp_proxy; printf '%s\\n' "\${COMPREPLY[@]}"`
    return ok('bash', ['--norc', '-c', script], { cwd: folder, env: env() }).split('\n').filter(Boolean)
  },
  zsh(line) {
    // A terminal of its own, in which the tab key is pressed.
    const script = `zmodload zsh/zpty; zpty z zsh -f -i; zpty -w z "PS1=; unsetopt beep list_ambiguous; autoload -U compinit; compinit -u -D; source ${folder}/zsh; cd ${folder}; print READY"
      zpty -r z out '*READY*READY*'; zpty -w -n z ${JSON.stringify(line)}$'\\t'; sleep 1; zpty -w -n z $'\\x15print D''ONE\\n'; zpty -r z out '*DONE*'; print -r -- $out`
    return ok('zsh', ['-f', '-c', script], { cwd: folder, env: env(), timeout: 20_000 }).replace(/\x1b\[[\d;?]*[a-zA-Z]/g, ' ').split(/[\s\x07\b]+/)
  },
  fish: line => ok('fish', ['--no-config', '-c', `source ${folder}/fish; complete -C ${JSON.stringify(line)}`], { cwd: folder, env: env() }).split('\n').map(row => row.split('\t')[0] as string).filter(Boolean),
}

describe.each(shells)('%s', shell => {
  it.each<[string, string[], string[]]>([
    ['mcp-proxy un', ['undo', 'uninstall'], ['run', '--config']],
    ['mcp-proxy credentials ', ['set', 'list', 'remove', 'check'], ['run']],
    ['mcp-proxy install cur', ['cursor'], ['codex']],
    ['mcp-proxy --config list credentials re', ['remove'], ['resources']],
    ['mcp-proxy run --log-level er', ['error'], ['run']],
    ['mcp-proxy template show ngi', ['nginx'], ['caddy']],
    ['mcp-proxy serve --tls', ['--tls-cert', '--tls-key'], ['--token-file']],
    ['mcp-proxy run --config a-con', ['a-config.json'], ['run']],
    ['mcp-proxy validate a-con', ['a-config.json'], ['run']],
  ])('%s', (line, offered, others) => {
    const found = offers[shell](line)
    // A single possibility may be put on the line at once, with a space after it.
    for (const one of offered) expect(found.some(each => each === one || each.endsWith(one)), `${one} in ${found.join(' ')}`).toBe(true)
    for (const one of others) expect(found.filter(each => !line.includes(each))).not.toContain(one)
  })
})
