/**
 * What goes wrong while a message is handled ends the connection it came on, and no other: whoever waits there hears INTERNAL, and
 * the log has the rest. Knows nothing of messages.
 */
import { McpError } from '../gateway/errors.ts'
import type { Log } from '../gateway/log.ts'
import type { Channel, Receiver } from '../transports/channel.ts'

/** The same receiver, which keeps the promise of never throwing. */
export function contained(receiver: Receiver, channel: Channel, log: Log): Receiver {
  let over = false

  function closed(reason: McpError | undefined): void {
    if (over) return
    over = true
    try {
      receiver.closed(reason)
    } catch (error) {
      log.error({ error }, 'the end of a connection could not be handled')
    }
  }

  function broke(error: unknown): void {
    log.error({ error }, 'a message could not be handled: its connection is ended')
    void channel.close()
    closed(new McpError('INTERNAL', 'the connection was ended over a message that could not be handled', { cause: error }))
  }

  return {
    message(message, relatedTo) {
      if (over) return
      try {
        receiver.message(message, relatedTo)
      } catch (error) {
        broke(error)
      }
    },
    malformed(error, id, part) {
      if (over) return
      try {
        receiver.malformed?.(error, id, part)
      } catch (thrown) {
        broke(thrown)
      }
    },
    leaving() {
      if (over) return
      try {
        receiver.leaving?.()
      } catch (error) {
        broke(error)
      }
    },
    closed,
  }
}
