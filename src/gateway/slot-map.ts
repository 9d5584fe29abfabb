/**
 * A map for what comes and goes hundreds of thousands of times a second. V8's Map and Set, when they grow or tidy up,
 * leave their old table behind with a pointer to the new one; with such churn each old table keeps everything that was
 * in it alive until the next full collection, and most of the time goes into copying it. Here the Map holds numbers
 * only; the objects stand in slots that are emptied. Ten thousand idle sessions have one each, so a lone entry needs no slot.
 */
export class SlotMap<K extends string | number, V> implements Iterable<[K, V]> {
  private slots: Slots<K, V> | undefined
  private lone: K | undefined
  private loneValue: V | undefined

  get size(): number {
    return this.slots ? this.slots.index.size : this.lone === undefined ? 0 : 1
  }

  has(key: K): boolean {
    return this.slots ? this.slots.index.has(key) : this.lone !== undefined && this.lone === key
  }

  get(key: K): V | undefined {
    if (this.slots) return this.slots.get(key)
    return this.lone !== undefined && this.lone === key ? this.loneValue : undefined
  }

  set(key: K, value: V): void {
    if (this.slots) return this.slots.set(key, value)
    if (this.lone === undefined || this.lone === key) {
      this.lone = key
      this.loneValue = value
      return
    }
    this.slots = new Slots()
    this.slots.set(this.lone, this.loneValue as V)
    this.slots.set(key, value)
    this.lone = this.loneValue = undefined
  }

  delete(key: K): boolean {
    if (this.slots) return this.slots.delete(key)
    if (this.lone === undefined || this.lone !== key) return false
    this.lone = this.loneValue = undefined
    return true
  }

  clear(): void {
    this.slots = this.lone = this.loneValue = undefined
  }

  /** In the order of arrival. A copy: the map may change under way. */
  values(): V[] {
    return this.entries().map(([, value]) => value)
  }

  entries(): [K, V][] {
    if (this.slots) return this.slots.entries()
    return this.lone === undefined ? [] : [[this.lone, this.loneValue as V]]
  }

  [Symbol.iterator](): Iterator<[K, V]> {
    return this.entries()[Symbol.iterator]()
  }
}

class Slots<K, V> {
  readonly index = new Map<K, number>()
  private readonly values: (V | undefined)[] = []
  private readonly keys: (K | undefined)[] = []
  private readonly births: number[] = []
  private readonly free: number[] = []
  private born = 0

  get(key: K): V | undefined {
    const slot = this.index.get(key)
    return slot === undefined ? undefined : this.values[slot]
  }

  set(key: K, value: V): void {
    const known = this.index.get(key)
    if (known !== undefined) {
      this.values[known] = value
      return
    }
    const slot = this.free.pop() ?? this.values.length
    this.index.set(key, slot)
    this.values[slot] = value
    this.keys[slot] = key
    this.births[slot] = ++this.born
  }

  delete(key: K): boolean {
    const slot = this.index.get(key)
    if (slot === undefined) return false
    this.index.delete(key)
    this.values[slot] = undefined
    this.keys[slot] = undefined
    this.free.push(slot)
    return true
  }

  entries(): [K, V][] {
    const slots = [...this.index.values()].sort((a, b) => (this.births[a] as number) - (this.births[b] as number))
    return slots.map(slot => [this.keys[slot] as K, this.values[slot] as V])
  }
}
