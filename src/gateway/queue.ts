/** Waiting line that is fair between owners: each owner's items stay in order, owners take turns. */
interface Line<T> {
  readonly owner: string
  readonly items: T[]
}

export class FairQueue<T> {
  size = 0
  private readonly lines = new Map<string, Line<T>>()
  /** Lines that are not empty, in a ring. */
  private readonly ring: Line<T>[] = []
  /** Whose turn it is. */
  private turn = 0

  push(owner: string, item: T): void {
    this.size++
    const line = this.lines.get(owner)
    if (line) return void line.items.push(item)
    const fresh = { owner, items: [item] }
    this.lines.set(owner, fresh)
    // Behind everybody: just before the one whose turn it is.
    this.ring.splice(this.turn, 0, fresh)
    this.turn = (this.turn + 1) % this.ring.length
  }

  shift(): T | undefined {
    const line = this.ring[this.turn]
    if (!line) return undefined
    const item = line.items.shift()
    this.size--
    if (line.items.length === 0) this.drop(line)
    else this.turn = (this.turn + 1) % this.ring.length
    return item
  }

  /** Takes an item out wherever it stands; false if it is not there. */
  remove(owner: string, item: T): boolean {
    const line = this.lines.get(owner)
    const index = line ? line.items.indexOf(item) : -1
    if (!line || index < 0) return false
    line.items.splice(index, 1)
    this.size--
    if (line.items.length === 0) this.drop(line)
    return true
  }

  /** Empties the queue. */
  drain(): T[] {
    const items: T[] = []
    for (let item = this.shift(); item !== undefined; item = this.shift()) items.push(item)
    return items
  }

  private drop(line: Line<T>): void {
    this.lines.delete(line.owner)
    const place = this.ring.indexOf(line)
    this.ring.splice(place, 1)
    if (place < this.turn) this.turn--
    if (this.turn >= this.ring.length) this.turn = 0
  }
}
