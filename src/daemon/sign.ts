/**
 * A sign of life: a name that can be dialled for as long as a process lives, and not a moment longer. For systems that do not
 * say when a process was started: there an id soon belongs to another. Knows nothing of what it proves.
 */
import { connect, createServer } from 'node:net'

/** Who has not answered by then is there and busy, milliseconds. */
const answerMs = 1_000

/** The path of the sign of this name. */
export type SignPath = (name: string) => string

/** Shows it until this process ends, or until the returned function is called. Rejects where it cannot be shown. */
export function showSign(path: string): Promise<() => void> {
  const server = createServer(socket => socket.on('error', () => {}).destroy()).unref()
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => resolve(() => void server.close()))
  })
}

/** Whether somebody shows it. */
export function hasSign(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    const known = (shown: boolean): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(shown)
    }
    const timer = setTimeout(known, answerMs, true)
    socket.once('connect', () => known(true))
    socket.on('error', ({ code }: NodeJS.ErrnoException) => known(code !== 'ENOENT' && code !== 'ECONNREFUSED'))
  })
}
