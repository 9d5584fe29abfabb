/** A look at a YAML text before its parser gets to see it: that one is recursive, and large. Pure. */
import { maxDepth } from './json.ts'

/** Offset of the first place that is nested too deep, found before a recursive parser gets there. */
export function tooDeepAt(text: string): number | undefined {
  let depth = 0
  let at = 0
  for (const line of text.split('\n')) {
    const indent = /^[ \t]*(?:[-?:][ \t]+)*/.exec(line)?.[0].length ?? 0
    // One level of block nesting takes at least one column.
    if (indent > maxDepth * 16) return at + maxDepth * 16
    if ((line.slice(0, indent).match(/[-?:]/g)?.length ?? 0) > maxDepth) return at
    for (let index = indent; index < line.length; index++) {
      const char = line[index]
      if (char === '[' || char === '{') depth++
      else if ((char === ']' || char === '}') && depth > 0) depth--
      if (depth > maxDepth * 4) return at + index
    }
    at += line.length + 1
  }
  return undefined
}
