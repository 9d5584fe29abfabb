/**
 * Who sits behind the gateway: the members by alias, and those that were replaced but still owe somebody an answer.
 * Changes in one step, so that a call meets the old ones or the new ones, never a mixture.
 */
import type { Member } from './contract.ts'
import { McpError } from './errors.ts'

export interface Seat {
  readonly alias: string
  readonly member: Member
  /** Never used twice in this process: tells who sat here when a state was handed out. */
  readonly serial: number
  /** Questions handed out with a state, and not answered so far. */
  asked: number
}

let serials = 0

export class Roster {
  /** In config order. */
  seats: readonly Seat[] = []
  /** More than one: names and log lines then say whose they are. */
  several = false
  private byAlias: ReadonlyMap<string, Seat> = new Map()
  private readonly left = new Map<Member, Seat>()
  private readonly listeners = new Set<() => void>()

  constructor(members: readonly { readonly alias: string; readonly member: Member }[]) {
    this.replace(members)
  }

  /** Those of now, and those that were replaced and are not gone yet. */
  *all(): Iterable<Seat> {
    yield* this.seats
    yield* this.left.values()
  }

  at(alias: string): Seat | undefined {
    return this.byAlias.get(alias)
  }

  /** Whose `serial` is, as long as it is here; else whoever sits there now. */
  keeper(alias: string, serial: number | undefined): Seat | undefined {
    const now = this.byAlias.get(alias)
    if (serial === undefined || now?.serial === serial) return now
    for (const seat of this.left.values()) if (seat.serial === serial && seat.alias === alias) return seat
    return now
  }

  /** A member that stays keeps its seat. */
  replace(members: readonly { readonly alias: string; readonly member: Member }[]): void {
    const before = new Map(this.seats.map(seat => [seat.member, seat]))
    this.seats = members.map(({ alias, member }) => before.get(member) ?? { alias, member, serial: ++serials, asked: 0 })
    this.several = members.length > 1
    this.byAlias = new Map(this.seats.map(seat => [seat.alias, seat]))
    for (const { member } of this.seats) before.delete(member)
    for (const [member, seat] of before) this.left.set(member, seat)
    this.moved()
  }

  /** Whether somebody who was replaced is still to hear the answer to a question. */
  awaits(member: Member): boolean {
    return (this.left.get(member)?.asked ?? 0) > 0
  }

  /** Forgets a member that was replaced. */
  release(member: Member): void {
    if (this.left.delete(member)) this.moved()
  }

  isHere(seat: Seat): boolean {
    return this.byAlias.get(seat.alias) === seat || this.left.get(seat.member) === seat
  }

  /** Calls back when somebody has come, left or been forgotten. */
  onMove(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  private moved(): void {
    for (const listener of this.listeners) listener()
  }
}

/** A member's state that says who handed it out: when the answer comes, another may have taken its place. */
export const publicState = ({ serial }: Seat, own: string): string => `${serial}.${own}`

/** The way back. Whoever calls us has proved that the state is ours; this only reads it. Throws STATE_INVALID. */
export function readState(state: string): { readonly serial: number; readonly own: string } {
  const dot = state.indexOf('.')
  const serial = Number(state.slice(0, dot))
  if (dot <= 0 || !Number.isSafeInteger(serial)) throw new McpError('STATE_INVALID', 'this state is not ours')
  return { serial, own: state.slice(dot + 1) }
}
