/**
 * A map for what comes and goes hundreds of thousands of times a second. V8's Map and Set, when they grow or tidy up,
 * leave their old table behind with a pointer to the new one; with such churn each old table keeps everything that was
 * in it alive until the next full collection, and most of the time goes into copying it. Here the Map holds numbers
 * only; the objects stand in slots that are emptied.
 */
export class SlotMap<K extends string | number, V> implements Iterable<[K, V]> {
  private readonly index = new Map<K, number>()
  private readonly values_: (V | undefined)[] = []
  private readonly keys_: (K | undefined)[] = []
  private readonly births: number[] = []
  private readonly free: number[] = []
  private born = 0

  get size(): number {
    return this.index.size
  }

  has(key: K): boolean {
    return this.index.has(key)
  }

  get(key: K): V | undefined {
    const slot = this.index.get(key)
    return slot === undefined ? undefined : this.values_[slot]
  }

  set(key: K, value: V): void {
    const known = this.index.get(key)
    if (known !== undefined) {
      this.values_[known] = value
      return
    }
    const slot = this.free.pop() ?? this.values_.length
    this.index.set(key, slot)
    this.values_[slot] = value
    this.keys_[slot] = key
    this.births[slot] = ++this.born
  }

  delete(key: K): boolean {
    const slot = this.index.get(key)
    if (slot === undefined) return false
    this.index.delete(key)
    this.values_[slot] = undefined
    this.keys_[slot] = undefined
    this.free.push(slot)
    return true
  }

  clear(): void {
    this.index.clear()
    for (const list of [this.values_, this.keys_, this.births, this.free]) list.length = 0
  }

  /** In the order of arrival. A copy: the map may change under way. */
  values(): V[] {
    return this.entries().map(([, value]) => value)
  }

  entries(): [K, V][] {
    const slots = [...this.index.values()].sort((a, b) => (this.births[a] as number) - (this.births[b] as number))
    return slots.map(slot => [this.keys_[slot] as K, this.values_[slot] as V])
  }

  [Symbol.iterator](): Iterator<[K, V]> {
    return this.entries()[Symbol.iterator]()
  }
}
