/** Waiting line that is fair between owners: each owner's items stay in order, owners take turns. */
export class FairQueue<T> {
  size = 0
  /** Insertion order is the order of turns. */
  private readonly lines = new Map<string, T[]>()

  push(owner: string, item: T): void {
    const line = this.lines.get(owner)
    if (line) line.push(item)
    else this.lines.set(owner, [item])
    this.size++
  }

  shift(): T | undefined {
    for (const [owner, line] of this.lines) {
      const item = line.shift()
      this.lines.delete(owner)
      if (line.length > 0) this.lines.set(owner, line)
      this.size--
      return item
    }
    return undefined
  }

  /** Takes an item out wherever it stands; false if it is not there. */
  remove(owner: string, item: T): boolean {
    const line = this.lines.get(owner)
    const index = line ? line.indexOf(item) : -1
    if (!line || index < 0) return false
    line.splice(index, 1)
    if (line.length === 0) this.lines.delete(owner)
    this.size--
    return true
  }

  /** Empties the queue. */
  drain(): T[] {
    const items: T[] = []
    for (let item = this.shift(); item !== undefined; item = this.shift()) items.push(item)
    return items
  }
}
