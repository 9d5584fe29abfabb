/**
 * Questions to the person at the terminal: a line, a yes or no, a hidden value. Questions go to stderr, because stdout carries
 * the command's result.
 */
import { createInterface } from 'node:readline'
import type { Input, Io, Output } from './io.ts'

/** Asks for lines of text; undefined = the person ended the input (Ctrl-D, Ctrl-C). */
export interface Questioner {
  line(question: string): Promise<string | undefined>
  /** An empty answer means `preset`. */
  yes(question: string, preset: boolean): Promise<boolean | undefined>
  say(text: string): void
  close(): void
}

export function questioner({ stdin, stderr }: Pick<Io, 'stdin' | 'stderr'>): Questioner {
  const reader = createInterface({
    input: stdin,
    output: stderr,
    terminal: stdin.isTTY === true && stdin.setRawMode !== undefined,
  })
  const waiting: ((line: string | undefined) => void)[] = []
  const early: string[] = []
  let ended = false
  const end = (): void => {
    ended = true
    for (const tell of waiting.splice(0)) tell(undefined)
  }
  // Lines may come faster than questions (a paste, a test): none is lost.
  reader.on('line', line => {
    const tell = waiting.shift()
    if (tell) tell(line)
    else early.push(line)
  })
  reader.on('close', end)
  reader.on('SIGINT', () => reader.close())

  const line = (question: string): Promise<string | undefined> => {
    const known = early.shift()
    if (known !== undefined || ended) {
      stderr.write(`${question}${known ?? ''}\n`)
      return Promise.resolve(known)
    }
    reader.setPrompt(question)
    reader.prompt()
    return new Promise(resolve => waiting.push(resolve))
  }
  return {
    line,
    async yes(question, preset) {
      for (;;) {
        const answer = (await line(`${question} [${preset ? 'Y/n' : 'y/N'}] `))?.trim().toLowerCase()
        if (answer === undefined) return undefined
        if (answer === '') return preset
        if (answer === 'y' || answer === 'yes') return true
        if (answer === 'n' || answer === 'no') return false
      }
    },
    say: text => void stderr.write(`${text}\n`),
    close: () => reader.close(),
  }
}

/** Reads one line without showing it. undefined = ended by Ctrl-C or Ctrl-D. */
export function hidden(question: string, stdin: Input, stderr: Output): Promise<string | undefined> {
  return new Promise(resolve => {
    let typed = ''
    stderr.write(question)
    stdin.setRawMode?.(true)
    stdin.resume()
    const finish = (value: string | undefined): void => {
      stdin.off('data', take)
      stdin.off('end', ended)
      stdin.setRawMode?.(false)
      stdin.pause()
      stderr.write('\n')
      resolve(value)
    }
    const ended = (): void => finish(undefined)
    const take = (chunk: Buffer | string): void => {
      for (const symbol of chunk.toString()) {
        if (symbol === '\r' || symbol === '\n') return finish(typed)
        if (symbol === '\x03' || symbol === '\x04') return finish(undefined)
        if (symbol === '\x7f' || symbol === '\b') typed = [...typed].slice(0, -1).join('')
        else typed += symbol
      }
    }
    stdin.on('data', take)
    stdin.on('end', ended)
  })
}
