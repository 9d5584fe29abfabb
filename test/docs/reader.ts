/**
 * A reader who types a page: a home of their own, the packed program installed as the page says, a folder with the servers
 * the examples name. Nothing here reaches the network.
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { root } from '../e2e/harness.ts'
import type { Command } from './pages.ts'

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Reader {
  readonly dir: string
  readonly home: string
  readonly port: number
  readonly env: Readonly<Record<string, string>>
  /** What is written on a page, as it must be typed here. */
  here(text: string): string
  write(path: string, content: string): void
  run(command: Command): Promise<Ran>
  /** Ends what still runs. */
  leave(): Promise<void>
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })

/** The package as npm would publish it; built before the tests. */
export function pack(into: string): string {
  const name = execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', into], { cwd: root, encoding: 'utf8' }).trim()
  return join(into, name.split('\n').at(-1) as string)
}

/** A package of the name of a published server that starts the checkout's copy of it. */
function standIn(dir: string, name: string): void {
  const folder = join(dir, 'node_modules/@modelcontextprotocol', `server-${name}`)
  const entry = join(root, 'node_modules/@modelcontextprotocol', `server-${name}`, 'dist/index.js')
  mkdirSync(folder, { recursive: true })
  const manifest = { name: `@modelcontextprotocol/server-${name}`, version: '0.0.1', type: 'module', bin: { [`mcp-server-${name}`]: 'index.js' } }
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
  writeFileSync(join(folder, 'index.js'), `#!/usr/bin/env node\nawait import(${JSON.stringify(entry)})\n`, { mode: 0o755 })
  symlinkSync(`../@modelcontextprotocol/server-${name}/index.js`, join(dir, 'node_modules/.bin', `mcp-server-${name}`))
}

/** `npx -y mcp-proxy-server` takes the program that lies in the folder; put there without npm. */
export function place(dir: string, tarball: string): void {
  const folder = join(dir, 'node_modules/mcp-proxy-server')
  mkdirSync(folder, { recursive: true })
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', folder])
  for (const name of ['mcp-proxy', 'mcp-proxy-server']) symlinkSync('../mcp-proxy-server/bin/mcp-proxy.js', join(dir, 'node_modules/.bin', name))
}

export interface ReaderOptions {
  /** What else is different here: written → typed. */
  readonly differs?: Readonly<Record<string, string>>
  /** Whether `mcp-proxy` is installed already. */
  readonly installed: boolean
}

export async function reader(tarball: string, { differs = {}, installed }: ReaderOptions): Promise<Reader> {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'mcp-proxy-docs-')))
  const home = join(dir, 'home')
  const prefix = join(dir, 'prefix')
  const bin = join(dir, 'node_modules/.bin')
  for (const folder of [home, prefix, bin, join(dir, 'to')]) mkdirSync(folder, { recursive: true })
  // npx takes what the folder has: so the published servers need no registry. Copies, never links: what npm does in this folder
  // must not reach the checkout's own packages.
  writeFileSync(join(dir, 'package.json'), '{ "name": "reader", "private": true }\n')
  for (const name of ['memory', 'filesystem']) standIn(dir, name)
  const port = await freePort()
  const env = {
    PATH: `${join(prefix, 'bin')}:${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
    // The tokens that pages take for granted.
    GITHUB_TOKEN: 'a-token-of-a-person',
    HOME: home, NO_COLOR: '1', MCP_PROXY_NO_DAEMON: '1', MCP_PROXY_LISTEN_HTTP_PORT: String(port),
    npm_config_prefix: prefix, npm_config_offline: 'true', npm_config_update_notifier: 'false', npm_config_fund: 'false', npm_config_audit: 'false',
  }
  const swaps: readonly (readonly [string, string])[] = [
    ['npm install -g mcp-proxy-server', `npm install -g ${tarball}`],
    ['3050', String(port)],
    ['/path/to', join(dir, 'to')],
    ['/home/ann', home],
    ...Object.entries(differs),
  ]
  const here = (text: string): string =>
    swaps
      .reduce((now, [from, to]) => now.replaceAll(from, to), text)
      // Nobody is at the keyboard to say yes.
      .replace(/^(mcp-proxy (?:init|import|install|uninstall|undo)\b(?!.*--(?:yes|dry-run)))/gm, '$1 --yes')
  const running: { pid: number; ended: Promise<unknown> }[] = []
  let cwd = home

  function run({ text }: Command): Promise<Ran> {
    return new Promise((resolve, reject) => {
      // Where a command leaves the shell is where the next one starts.
      const script = `cd "${cwd}"\n${here(text)}\ncode=$?\npwd > "${dir}/cwd"\nexit $code`
      const child = spawn('bash', ['-c', script], { env, detached: true })
      let stdout = ''
      let stderr = ''
      const isListener = /\b(serve --http|serve)\b/.test(text)
      const timer = setTimeout(() => process.kill(-(child.pid as number), 'SIGKILL'), 60_000)
      const ended = new Promise<void>(done => child.once('close', code => {
        clearTimeout(timer)
        if (code !== null && !isListener) cwd = readFileSync(join(dir, 'cwd'), 'utf8').trim()
        resolve({ code: code ?? 137, stdout, stderr })
        done()
      }))
      child.once('error', reject)
      child.stdout.on('data', chunk => void (stdout += chunk))
      child.stderr.on('data', chunk => {
        stderr += chunk
        // In a terminal of its own it goes on while the reader types the next line.
        if (!isListener || !/^listening /m.test(stderr)) return
        clearTimeout(timer)
        resolve({ code: 0, stdout, stderr })
      })
      child.stdin.on('error', () => {})
      // What a person types where a value is asked for.
      child.stdin.end(/credentials set/.test(text) ? 'a-value-typed-by-a-person\n' : '')
      running.push({ pid: child.pid as number, ended })
    })
  }

  const made: Reader = {
    dir, home, port, env, here, run,
    write(path, content) {
      const at = join(path.startsWith('~/') ? home : cwd, path.replace(/^~\//, ''))
      mkdirSync(dirname(at), { recursive: true })
      writeFileSync(at, `${here(content)}\n`)
    },
    async leave() {
      for (const { pid, ended } of running) {
        try {
          process.kill(-pid, 'SIGTERM')
        } catch {
          // It ended long ago.
        }
        await ended
      }
      execFileSync('rm', ['-rf', dir])
    },
  }
  if (installed) {
    const { code, stderr } = await run({ text: 'npm install -g mcp-proxy-server' })
    if (code !== 0) throw new Error(stderr)
  }
  return made
}
