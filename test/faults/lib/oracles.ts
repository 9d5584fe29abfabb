/**
 * What must hold under every fault: nobody sees a marker that is not meant for him, no secret is seen at all, and every
 * request ends exactly once.
 */
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** 128 bits; `c` marks a client, `b` a backend. */
export const newMarker = (kind: 'b' | 'c'): string => `${kind}-${randomBytes(16).toString('hex')}`

const markerPattern = /\b[bc]-[0-9a-f]{32}(?:\.\d+)?/g
export const markersIn = (text: string): string[] => text.match(markerPattern) ?? []

/** Characters that each encoding spells differently, around 128 bits that none of them changes. */
export function newSecret(): string {
  return `pw/+&"\\ ${randomBytes(16).toString('hex')} =ü`
}

/** How the 128 bits of a secret may show: either half of them, and in Base64 at any of its three offsets. */
export function tracesOf(secret: string): string[] {
  const core = /[0-9a-f]{32}/.exec(secret)?.[0] as string
  const traces = [core.slice(0, 16), core.slice(16)]
  for (const spelling of ['base64', 'base64url'] as const)
    for (let offset = 0; offset < 3; offset++) {
      const digits = Buffer.concat([Buffer.alloc(offset), Buffer.from(core)]).toString(spelling)
      traces.push(digits.slice(offset + 1, offset + 21))
    }
  return traces
}

/** Where a secret shows; empty = nowhere. */
export function leaks(secrets: readonly string[], places: Readonly<Record<string, string>>): string[] {
  const found: string[] = []
  for (const secret of secrets)
    for (const trace of tracesOf(secret))
      for (const [place, text] of Object.entries(places)) {
        const at = text.indexOf(trace)
        if (at >= 0) found.push(`${place}: ${text.slice(Math.max(0, at - 80), at + 60)}`)
      }
  return found
}

/** The text of every file below a folder. */
export function filesBelow(folder: string): Record<string, string> {
  const texts: Record<string, string> = {}
  try {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
      if (entry.isFile()) texts[join(entry.parentPath, entry.name)] = readFileSync(join(entry.parentPath, entry.name), 'latin1')
  } catch {
    // Not there, or going away: nothing to read.
  }
  return texts
}

/** sent = answered + refused + cancelled, at the end. */
export interface Ledger {
  sent: number
  answered: number
  refused: number
  cancelled: number
}

export const emptyLedger = (): Ledger => ({ sent: 0, answered: 0, refused: 0, cancelled: 0 })
export const lost = ({ sent, answered, refused, cancelled }: Ledger): number => sent - answered - refused - cancelled
