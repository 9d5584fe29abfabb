/**
 * Lets what has arrived elsewhere be read before a client is heard that was quiet for a while: this process may have been stopped,
 * and the daemon may be gone since. Owns the order of what waits; knows neither side.
 */

/** Less than a daemon that leaves waits for its clients to read why, milliseconds. */
const quietMs = 100

export class CatchUp {
  private heardAt = -Infinity
  private late: Array<() => void> | undefined

  /** Whether something waits. */
  get isBehind(): boolean {
    return this.late !== undefined
  }

  /** Does it now, or in its turn when everything that had arrived by now has been read; `done` follows the last that waited. */
  inTurn(hear: () => void, done: () => void): void {
    const now = performance.now()
    const wasQuiet = now - this.heardAt > quietMs
    this.heardAt = now
    if (this.late) return void this.late.push(hear)
    if (!wasQuiet) return hear()
    this.late = [hear]
    // The first is still in the turn of what woke us, which may have been found before we were stopped; a whole one lies between.
    setImmediate(() =>
      setImmediate(() => {
        const late = this.late ?? []
        this.late = undefined
        done()
        for (const one of late) one()
      }),
    )
  }
}
