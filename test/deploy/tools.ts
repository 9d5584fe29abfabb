/** Programs of the system that these tests drive. A missing one is a failure that says how to get it, never a skip. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createServer } from 'node:net'

/** On Debian and Ubuntu: program → package. */
const packages: Readonly<Record<string, string>> = {
  'systemd-analyze': 'systemd', 'systemd-nspawn': 'systemd-container', mmdebstrap: 'mmdebstrap', nginx: 'nginx-light', caddy: 'caddy', openssl: 'openssl',
  dockerd: 'docker.io iptables', zsh: 'zsh', fish: 'fish', bash: 'bash', kubectl: 'kubernetes-client', plutil: 'libplist-utils', busybox: 'busybox-static',
}

export function need(...programs: string[]): void {
  const missing = programs.filter(program => spawnSync('sh', ['-c', `command -v ${program}`], { env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` } }).status !== 0)
  if (missing.length > 0) throw new Error(`missing ${missing.join(', ')}: apt-get install -y --no-install-recommends ${missing.map(one => packages[one] ?? one).join(' ')}`)
}

export interface Done {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export function run(program: string, args: readonly string[], options: { env?: Record<string, string | undefined>; cwd?: string; input?: string; timeout?: number } = {}): Done {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', timeout: 120_000, maxBuffer: 64 << 20, ...options, env: { ...process.env, ...options.env } })
  if (error) throw error
  return { code: status, stdout, stderr }
}

export function ok(program: string, args: readonly string[], options: Parameters<typeof run>[2] = {}): string {
  const { code, stdout, stderr } = run(program, args, options)
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}\n${stdout}${stderr}`)
  return stdout
}

export interface Running {
  readonly child: ChildProcess
  words(): string
  stop(signal?: NodeJS.Signals): Promise<void>
}

export function start(program: string, args: readonly string[], options: { env?: Record<string, string | undefined>; cwd?: string } = {}): Running {
  const child = spawn(program, args, { ...options, env: { ...process.env, ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let words = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => void (words += chunk))
  child.on('error', error => void (words += error.message))
  const ended = new Promise<void>(resolve => child.once('close', () => resolve()))
  return {
    child,
    words: () => words,
    async stop(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
      await ended
      clearTimeout(timer)
    },
  }
}

export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
