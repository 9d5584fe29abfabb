/**
 * The first line each way between a daemon and who connects to it, before the lines in between are a client's. Owns their form;
 * what they lead to is decided elsewhere.
 */
import type { Socket } from 'node:net'

/** Programs with different numbers do not understand each other. */
export const protocol = 1

export interface Hello {
  readonly protocol: number
  readonly version: string
  readonly token: string
  readonly want: 'serve' | 'status' | 'reload' | 'stop' | 'replace'
  /** Which client the lines come from, as `--client` said it. */
  readonly client?: string | undefined
}

export type Refusal = 'token' | 'older' | 'protocol' | 'leaving' | 'disabled'

export type Reply = { readonly ok: true; readonly pid: number; readonly content?: unknown } | { readonly ok: false; readonly why: Refusal }

/** Why a daemon ends. */
export type Goodbye = 'stop' | 'restart'

/** What it says then to the clients it still has. */
export interface Farewell {
  readonly why: Goodbye
  /**
   * Bytes of the client's lines that it had read by then. Requests in these it answers; a request that ends beyond them is
   * nothing it will ever act on. undefined = one that does not count.
   */
  readonly heard: number | undefined
}

/** Of a status with everything in it, and of the first word of a stranger. */
const maxReplyBytes = 16 * 1024 * 1024
export const maxHelloBytes = 16 * 1024
const goodbye = '{"daemon":'

/** No JSON-RPC message begins so, hence none that a server sends can be taken for it. */
export const isGoodbye = (line: Buffer): boolean => line.length < 64 && line.toString('latin1', 0, goodbye.length) === goodbye

export const goodbyeLine = (why: Goodbye, heard: number): { daemon: Goodbye; heard: number } => ({ daemon: why, heard })

export function readGoodbye(line: Buffer): Farewell {
  const { daemon, heard } = JSON.parse(line.toString('utf8')) as { daemon?: unknown; heard?: unknown }
  return { why: daemon === 'stop' ? 'stop' : 'restart', heard: typeof heard === 'number' ? heard : undefined }
}

/** Reads one line as JSON and leaves the stream paused behind it. Rejects when there is none in time. */
export function readFrame<T>(socket: Socket, ms: number, maxBytes = maxReplyBytes): Promise<T> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const finish = (outcome: () => void): void => {
      clearTimeout(timer)
      socket.off('data', take).off('end', ended).off('close', ended).off('error', reject_)
      socket.pause()
      outcome()
    }
    const ended = (): void => finish(() => reject(new Error('the connection ended')))
    const reject_ = (error: Error): void => finish(() => reject(error))
    const timer = setTimeout(() => finish(() => reject(new Error('no word in time'))), ms)
    const take = (chunk: Buffer): void => {
      const end = chunk.indexOf(0x0a)
      if (end < 0) {
        chunks.push(chunk)
        size += chunk.length
        if (size > maxBytes) ended()
        return
      }
      chunks.push(chunk.subarray(0, end))
      const rest = chunk.subarray(end + 1)
      finish(() => {
        if (rest.length > 0) socket.unshift(rest)
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')) as T)
        } catch (error) {
          reject(error instanceof Error ? error : new Error('no JSON'))
        }
      })
    }
    socket.on('data', take).on('end', ended).on('close', ended).on('error', reject_)
    socket.resume()
  })
}

export const writeFrame = (socket: Socket, frame: Hello | Reply): boolean => socket.write(`${JSON.stringify(frame)}\n`)

/** Versions by their numbers; a pre-release is older than its release. Above 0: `one` is newer. */
export function compareVersions(one: string, other: string): number {
  const [a, b] = [parts(one), parts(other)]
  for (let i = 0; i < 3; i++) if (a.numbers[i] !== b.numbers[i]) return (a.numbers[i] ?? 0) - (b.numbers[i] ?? 0)
  if (a.pre === b.pre) return 0
  if (a.pre === '' || b.pre === '') return a.pre === '' ? 1 : -1
  return a.pre < b.pre ? -1 : 1
}

function parts(version: string): { numbers: number[]; pre: string } {
  const [core = '', ...pre] = (version.split('+')[0] ?? '').split('-')
  return { numbers: core.split('.').map(Number), pre: pre.join('-') }
}
