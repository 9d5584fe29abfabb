/**
 * A spawned server as a channel. Owns its pipes, its last words and its end, whichever of the three comes first: our
 * close, its exit, or its ceasing to read. Must not know what is said over the pipes or whether to start it again.
 */
import { McpError } from '../gateway/errors.ts'
import { silent, type Log } from '../gateway/log.ts'
import type { Channel, Message, Receiver } from './channel.ts'
import { LastWords, loggable, splitLines } from './last-words.ts'
import { LinePipe, type PipeLimits } from './line-pipe.ts'
import { writerDefaults } from './line-writer.ts'
import type { Adopted } from './reaper.ts'
import { sparse } from './sparse-log.ts'
import { start, type SpawnOptions, type SpawnSpec, type Started } from './spawn.ts'
import { clearRemains, stopTree, type StopTiming, type Target } from './stop.ts'

export const childDefaults = { graceMs: 250, queueBytes: 4 * 1024 * 1024, stallMs: writerDefaults.stallMs } as const

export interface ChildOptions extends PipeLimits {
  /** Alias of the backend, for messages. */
  readonly name?: string | undefined
  readonly log?: Log | undefined
  /** Watches over the process in case we are killed. */
  readonly reaper?: { adopt(pid: number): Adopted } | undefined
  /** Takes secrets out of what the process wrote for people, before anybody sees it. */
  readonly redact?: ((text: string) => string) | undefined
  readonly stop?: StopTiming | undefined
  readonly spawn?: SpawnOptions | undefined
  /** After the process has exited: how long its last output is waited for, in ms. Something it started may hold the pipe open. */
  readonly graceMs?: number | undefined
}

/**
 * Starts a server and opens a channel to it. Rejects with BACKEND_START_FAILED. `closed` tells: BACKEND_DIED (with the last
 * line on stderr in its details), BACKEND_TIMEOUT when it did not read its input for `stallMs`.
 */
export async function childProcess(spec: SpawnSpec, options: ChildOptions = {}): Promise<Channel> {
  const adopted: { current?: Adopted } = {}
  const started = await start(spec, options.spawn, pid => {
    const watched = options.reaper?.adopt(pid)
    if (watched) adopted.current = watched
  }).catch((error: unknown) => {
    adopted.current?.release()
    throw error
  })
  return new ChildChannel(started, adopted.current, options)
}

class ChildChannel implements Channel {
  readonly transport = 'stdio'
  readonly cancelsByClosing = false
  readonly pid: number
  private readonly started: Started
  private readonly options: ChildOptions
  private readonly log: Log
  private readonly pipe: LinePipe
  private readonly words = new LastWords()
  private readonly target: Target
  private readonly adopted: Adopted | undefined
  private readonly name: string
  private ending: Promise<void> | undefined

  constructor(started: Started, adopted: Adopted | undefined, options: ChildOptions) {
    const { child } = started
    this.started = started
    this.adopted = adopted
    this.options = options
    this.log = options.log ?? silent
    this.name = options.name === undefined ? 'the backend' : `backend ${options.name}`
    this.pid = started.pid
    const exited = new Promise<void>(resolve => {
      child.once('exit', (code, signal) => {
        resolve()
        void this.afterExit(code, signal)
      })
    })
    this.target = { pid: started.pid, leads: started.leads, exited, known: () => adopted?.descendants() ?? [] }
    this.pipe = new LinePipe(
      child.stdout,
      child.stdin,
      'backend',
      {
        ended: () => void this.unlessExits('closed its output'),
        broke: () => void this.unlessExits('closed its input'),
        stuck: () => this.giveUp(this.error('BACKEND_TIMEOUT', 'does not read its input'), { ...options.stop, eofMs: 0 }),
      },
      this.log,
      { ...options, queueBytes: options.queueBytes ?? childDefaults.queueBytes },
    )
    this.listen()
  }

  open(receiver: Receiver): void {
    this.pipe.open(receiver)
  }

  send(message: Message): void {
    this.pipe.send(message)
  }

  abandon(): void {}

  close(): Promise<void> {
    this.giveUp(undefined, this.options.stop)
    return this.ending as Promise<void>
  }

  lastWords(): string {
    return this.words.text(undefined, this.redact)
  }

  private listen(): void {
    const { stderr } = this.started.child
    const say = sparse((line, left) => this.log.info({ line: loggable(line, this.redact), ...(left > 0 && { left }) }, 'stderr'))
    const split = splitLines(say)
    stderr.on('data', (chunk: Buffer) => {
      this.words.push(chunk)
      if (this.log !== silent) split(chunk)
    })
    stderr.on('error', () => {})
  }

  /** Ends the channel for `reason` and the process with it. The first caller decides how. */
  private giveUp(reason: McpError | undefined, timing: StopTiming | undefined): void {
    this.pipe.finish(reason)
    this.ending ??= this.stop(timing)
  }

  private async stop(timing: StopTiming | undefined): Promise<void> {
    // Whoever is told to end may have something to say; a full pipe would keep it from ending.
    this.started.child.stdout.resume()
    const gone = await stopTree(this.target, () => void this.pipe.flush(), timing)
    this.cleanUp(gone)
  }

  private async afterExit(code: number | null, signal: NodeJS.Signals | null): Promise<void> {
    if (this.ending) return
    const read = Promise.race([this.outputEnded(), this.grace()])
    // Not before its output is read: where several exit in one turn, the exit is told before the last answer.
    this.ending = Promise.all([clearRemains(this.target, this.options.stop), read]).then(([gone]) => this.cleanUp(gone))
    await read
    // A last line without a newline counts, and comes before the end.
    this.pipe.end()
    const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`
    this.pipe.finish(this.error('BACKEND_DIED', how))
    this.destroyPipes()
  }

  /** A pipe that breaks is mostly the first sign of an exit, which says more. A process that lives on without it is no use. */
  private async unlessExits(what: string): Promise<void> {
    if (this.ending) return
    await Promise.race([this.target.exited, this.grace()])
    if (!this.ending) this.giveUp(this.error('BACKEND_DIED', what), { ...this.options.stop, eofMs: 0 })
  }

  private async outputEnded(): Promise<void> {
    const { stdout, stderr } = this.started.child
    await Promise.all(
      [stdout, stderr].map(stream =>
        stream.readableEnded || stream.destroyed ? undefined : new Promise(resolve => stream.once('close', resolve)),
      ),
    )
  }

  private grace(): Promise<void> {
    return new Promise(resolve => setTimeout(resolve, this.options.graceMs ?? childDefaults.graceMs))
  }

  private cleanUp(gone: boolean): void {
    this.destroyPipes()
    if (gone) this.adopted?.release()
    else this.log.warn({ pid: this.pid }, `some of what ${this.name} started could not be ended`)
  }

  private destroyPipes(): void {
    const { stdin, stdout, stderr } = this.started.child
    this.pipe.drop()
    for (const stream of [stdin, stdout, stderr]) stream.destroy()
  }

  private error(code: 'BACKEND_DIED' | 'BACKEND_TIMEOUT', what: string): McpError {
    const last = this.words.text(1, this.redact)
    return new McpError(code, `${this.name} ${what}`, { backend: this.options.name, lastWords: last === '' ? undefined : last })
  }

  private readonly redact = (text: string): string => this.options.redact?.(text) ?? text
}
