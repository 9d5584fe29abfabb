/**
 * Remembers which backend handed out a URI that nobody lists, so that a later read finds it. Outlives every catalog,
 * because a link that is in a client's hands must not change its meaning.
 */
import { LRUCache } from 'lru-cache'

const maxLinks = 4096
/** A longer one is not remembered; whoever hands it out is asked by scheme. */
const maxLength = 2048

export class Links {
  private readonly origins = new LRUCache<string, string>({ max: maxLinks })

  /** Alias of the backend that handed it out. */
  origin(uri: string): string | undefined {
    return this.origins.get(uri)
  }
  remember(alias: string, uri: string): void {
    if (uri.length <= maxLength) this.origins.set(uri, alias)
  }
}
