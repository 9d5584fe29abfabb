/** Rows as aligned columns: cut to the window on a terminal, whole in a pipe. Pure text. */
import { printable, type Output, type Paint } from './io.ts'

export interface TableOptions {
  /** Columns of the terminal; undefined = no cutting. */
  readonly width?: number | undefined
  readonly header?: Paint | undefined
}

const wide =
  /[\p{sc=Han}\p{sc=Hangul}\p{sc=Hiragana}\p{sc=Katakana}\u3000-\u303e\ufe30-\ufe6f\uff00-\uff60]|\p{Emoji_Presentation}/u
const zero = /[\u0300-\u036f\u200b-\u200f\ufe00-\ufe0f]/u

const columnsOf = (symbol: string): number => (zero.test(symbol) ? 0 : wide.test(symbol) ? 2 : 1)

/** Columns a text takes in a terminal. */
export function widthOf(text: string): number {
  let width = 0
  for (const symbol of text) width += columnsOf(symbol)
  return width
}

/** The text in at most `width` columns, an ellipsis in place of what had to go. */
export function fit(text: string, width: number): string {
  if (widthOf(text) <= width) return text
  let kept = ''
  let used = 0
  for (const symbol of text) {
    const columns = columnsOf(symbol)
    if (used + columns > width - 1) break
    kept += symbol
    used += columns
  }
  return width < 1 ? '' : `${kept}…`
}

const gap = 2
/** A last column narrower than this says nothing; it is then left whole and the terminal wraps it. */
const least = 12

/** Lines without a trailing line feed. The last column gives way when the window is too narrow. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], options: TableOptions = {}): string {
  const cells = [head, ...rows].map(row => row.map(cell => cell.replace(/\s+/g, ' ').trim()))
  const widths = head.map((_, column) => Math.max(...cells.map(row => widthOf(row[column] ?? ''))))
  const last = head.length - 1
  const room =
    options.width === undefined ? Infinity : options.width - widths.slice(0, last).reduce((sum, width) => sum + width + gap, 0)
  const lines = cells.map(row =>
    row
      .map((cell, column) => {
        if (column === last) return room < least ? cell : fit(cell, room)
        return cell + ' '.repeat((widths[column] as number) - widthOf(cell) + gap)
      })
      .join('')
      .trimEnd(),
  )
  const paint = options.header ?? (text => text)
  return [paint(lines[0] as string), ...lines.slice(1)].join('\n')
}

/** The same for a stream: cells made fit for it, cut if it is a terminal. */
export function tableFor(output: Output, head: readonly string[], rows: readonly (readonly string[])[], header?: Paint): string {
  const clean = rows.map(row => row.map(cell => printable(cell, output)))
  return table(head, clean, { width: output.isTTY === true ? (output.columns ?? 80) : undefined, header })
}
