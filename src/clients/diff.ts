/** Two texts as a unified diff, with three lines of context. Pure. */

const context = 3
/** Lines that differ in the middle of both texts; beyond this the whole middle counts as changed. */
const maxCells = 4_000_000

interface Line {
  readonly kind: ' ' | '-' | '+'
  readonly text: string
}

/** The diff, ending in a line feed; empty when nothing differs. `undefined` = there is no such file. */
export function unifiedDiff(before: string | undefined, after: string | undefined, name: string): string {
  if (before === after) return ''
  const lines = compare(linesOf(before), linesOf(after))
  const head = [`--- ${before === undefined ? '/dev/null' : name}`, `+++ ${after === undefined ? '/dev/null' : name}`]
  return `${[...head, ...hunks(lines)].join('\n')}\n`
}

/** Line ends are made visible where they are not the usual ones: a diff must not hide what it changes. */
const linesOf = (text: string | undefined): string[] => {
  if (text === undefined || text === '') return []
  const lines = text.split('\n').map(line => line.replace(/\r$/, '␍').replace(/^\ufeff/, '<BOM>'))
  if (lines.at(-1) === '') lines.pop()
  else lines[lines.length - 1] += '\n\\ No newline at end of file'
  return lines
}

function compare(a: readonly string[], b: readonly string[]): Line[] {
  let start = 0
  while (start < a.length && start < b.length && a[start] === b[start]) start++
  let end = 0
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++
  const same = (text: string): Line => ({ kind: ' ', text })
  return [
    ...a.slice(0, start).map(same),
    ...middle(a.slice(start, a.length - end), b.slice(start, b.length - end)),
    ...a.slice(a.length - end).map(same),
  ]
}

/** The longest common part, by the table every textbook has. */
function middle(a: readonly string[], b: readonly string[]): Line[] {
  const removed = (text: string): Line => ({ kind: '-', text })
  const added = (text: string): Line => ({ kind: '+', text })
  if (a.length * b.length > maxCells || a.length === 0 || b.length === 0) return [...a.map(removed), ...b.map(added)]
  const width = b.length + 1
  const common = new Uint32Array((a.length + 1) * width)
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      common[i * width + j] =
        a[i] === b[j]
          ? (common[(i + 1) * width + j + 1] as number) + 1
          : Math.max(common[(i + 1) * width + j] as number, common[i * width + j + 1] as number)
  const lines: Line[] = []
  let [i, j] = [0, 0]
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ kind: ' ', text: a[i++] as string })
      j++
    } else if (
      j >= b.length ||
      (i < a.length && (common[(i + 1) * width + j] as number) >= (common[i * width + j + 1] as number))
    )
      lines.push(removed(a[i++] as string))
    else lines.push(added(b[j++] as string))
  }
  return lines
}

function hunks(lines: readonly Line[]): string[] {
  const out: string[] = []
  let [oldLine, newLine] = [1, 1]
  for (let at = 0; at < lines.length;) {
    if ((lines[at] as Line).kind === ' ' && !lines.slice(at, at + context + 1).some(({ kind }) => kind !== ' ')) {
      oldLine++
      newLine++
      at++
      continue
    }
    let end = at
    for (let quiet = 0; end < lines.length && quiet <= context * 2; end++)
      quiet = (lines[end] as Line).kind === ' ' ? quiet + 1 : 0
    let hunk = lines.slice(at, end)
    let trailing = 0
    while (trailing < hunk.length && (hunk[hunk.length - 1 - trailing] as Line).kind === ' ') trailing++
    if (trailing > context) hunk = hunk.slice(0, hunk.length - (trailing - context))
    const [olds, news] = ['+', '-'].map(other => hunk.filter(({ kind }) => kind !== other).length) as [number, number]
    out.push(`@@ -${olds === 0 ? oldLine - 1 : oldLine},${olds} +${news === 0 ? newLine - 1 : newLine},${news} @@`)
    for (const { kind, text } of hunk) out.push(kind + text)
    oldLine += olds
    newLine += news
    at += hunk.length
  }
  return out
}
