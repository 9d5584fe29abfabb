/**
 * The pages for people as data: their fenced blocks with the notes that stand before them. A note is a comment that
 * readers do not see: `<!-- file: PATH -->` (the block is the content of that file), `<!-- exit: 3 -->` (how its last command
 * ends), `<!-- shown by: TEST -->` and `<!-- not run: REASON -->`.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../e2e/harness.ts'

export interface Block {
  readonly page: string
  /** Of the opening fence, from 1. */
  readonly line: number
  readonly language: string
  readonly text: string
  readonly notes: Readonly<Record<string, string>>
}

/** Every page with commands in it: the ones at the root and docs/, without the record of decisions. */
export const pages: readonly string[] = [
  'README.md', 'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).filter(name => /^(errors\/)?[\w-]+\.md$/.test(name)).map(name => `docs/${name}`).sort(),
]

export function blocksOf(page: string): Block[] {
  const lines = readFileSync(join(root, page), 'utf8').split('\n')
  const blocks: Block[] = []
  for (let index = 0; index < lines.length; index++) {
    const fence = /^ {0,3}(`{3,})(\S*)/.exec(lines[index] as string)
    if (!fence) continue
    const notes: Record<string, string> = {}
    for (let above = index - 1; above >= 0; above--) {
      const note = /^ *<!-- ([a-z ]+): (.*) -->$/.exec(lines[above] as string)
      if (note) notes[note[1] as string] = note[2] as string
      else if (lines[above] !== '' || index - above > 2) break
    }
    const start = index
    while (++index < lines.length && !(lines[index] as string).trim().startsWith(fence[1] as string));
    blocks.push({ page, line: start + 1, language: fence[2] as string, text: lines.slice(start + 1, index).join('\n'), notes })
  }
  return blocks
}

export interface Command {
  readonly text: string
  /** What the page says it prints; `…` stands for anything. */
  readonly prints?: string | undefined
}

/** The commands of a block. Of a `console` block those after `$ `, with what follows as their output. */
export function commandsOf({ language, text }: Block): Command[] {
  if (language === 'console')
    return text.split(/^\$ /m).slice(1).map(part => {
      const [command = '', ...printed] = part.split('\n')
      return { text: command, prints: printed.join('\n').trimEnd() || undefined }
    })
  const commands: Command[] = []
  let current: string[] = []
  let until: string | undefined
  for (const line of text.split('\n')) {
    if (current.length === 0 && /^\s*(#.*)?$/.test(line)) continue
    current.push(line)
    if (until === undefined) until = /<<-?\s*'?(\w+)'?/.exec(line)?.[1]
    else if (line === until) until = undefined
    if (until !== undefined || line.endsWith('\\')) continue
    commands.push({ text: current.join('\n') })
    current = []
  }
  return commands
}

export const hasCommands = ({ language }: Block): boolean => ['sh', 'bash', 'console'].includes(language)
