/**
 * `run` as a thin pipe to the daemon. Owns what happens when there is none to be had: before anything was said, the caller serves
 * by itself; later, servers of this process take the daemon's place.
 */
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { version } from '../app/version.ts'
import { findConfig } from '../config/find.ts'
import { places } from '../config/places.ts'
import { attach, type AttachOptions } from '../daemon/attach.ts'
import type { Goodbye } from '../daemon/hello.ts'
import { daemonPlace } from '../daemon/place.ts'
import { Relay, type Way } from '../daemon/relay.ts'
import type { Context } from './command.ts'
import type { Signal } from './io.ts'
import { exitCodes } from './report.ts'

/** A client waits for its first answer; one that is served already can wait for a daemon that pauses before it starts. */
const patienceMs = { first: 15_000, again: 20_000 }

/** Who makes a daemon end to start another one is given so long to do it, milliseconds. */
const restartMs = 2_000

/** Serves until the client is gone; undefined = there is no daemon, and nothing has been read or written. */
export async function relay({ client }: { readonly client: string | undefined }, context: Context): Promise<number | undefined> {
  const { io, globals } = context
  const { file } = findConfig({ config: globals.config, env: io.env, cwd: io.cwd })
  const options: Omit<AttachOptions, 'patienceMs'> = {
    place: daemonPlace(places(io.env), file),
    version,
    env: io.env,
    client,
    script: io.script,
    mayStart: async () => isNode && (await isEnabled(file, context)),
  }
  const say = (because: string | undefined): void => {
    if (because !== undefined && !globals.quiet) io.stderr.write(`note: ${because}\n`)
  }
  const first = await attach({ ...options, patienceMs: patienceMs.first })
  if (!first.socket) {
    say(first.because)
    return undefined
  }

  let close: (() => Promise<void>) | undefined
  const again = async (goodbye: Goodbye | undefined): Promise<Way> => {
    const leaveMs = goodbye === 'restart' ? restartMs : 0
    const next = await attach({ ...options, patienceMs: patienceMs.again, leaveMs })
    if (next.socket) return wayOf(next.socket)
    say(next.because)
    const inside = await serveInside(client, context)
    close = inside.close
    return inside.way
  }
  const through = new Relay({ input: io.stdin, output: io.stdout, first: wayOf(first.socket), again })
  let code: number = exitCodes.done
  let asked = 0
  const release = io.onSignal((signal: Signal) => {
    asked++
    if (signal === 'SIGINT') code = exitCodes.interrupted
    through.stop(asked > 1 || io.stdin.readableEnded)
  })
  await through.over
  release()
  await close?.()
  return code
}

/**
 * Claude Desktop runs a bundle inside itself (Electron): started again, what runs us is no Node but that application, which on
 * macOS crashes and on Windows comes to the front.
 */
const isNode = process.versions['electron'] === undefined

/** libuv closes a named pipe 50 ms after its one end is closed, whatever the other still has to say (src/win/pipe.c). */
const wayOf = (socket: Socket): Way => ({
  from: socket,
  to: socket,
  isWhole: process.platform === 'win32',
  close: () => void socket.destroy(),
})

/** Whether the config lets `run` start a daemon. Most configs do not mention it, and those need not be loaded for it. */
async function isEnabled(file: string, context: Context): Promise<boolean> {
  const mentions = Object.keys(context.io.env).some(name => name.startsWith('MCP_PROXY_DAEMON')) || /daemon/.test(readFileSync(file, 'utf8'))
  if (!mentions) return true
  const { findAndLoad } = await import('./house.ts')
  return (await findAndLoad(context)).loaded.config.daemon.enabled
}

/** The servers of the config in this process, for a client that is being served already. */
async function serveInside(client: string | undefined, context: Context): Promise<{ way: Way; close: () => Promise<void> }> {
  const { openHouse } = await import('./house.ts')
  const opened = await openHouse(context, 'server')
  const [to, from] = [new PassThrough(), new PassThrough()]
  const { house } = opened
  house.serveStdio(to, from, Date.now() * 1000, client)
  const close = async (): Promise<void> => {
    to.destroy()
    await opened.close(true)
  }
  return { way: { from, to, close: () => void to.end() }, close }
}
