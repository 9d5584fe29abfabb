/** What code costs, in processor time: the clock on the wall also counts what other programs on a busy machine took. */

/** Milliseconds of processor time of this process since an arbitrary moment. */
export function processorMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Milliseconds of processor time that `run` takes. */
export function costMs(run: () => void): number {
  const before = processorMs()
  run()
  return processorMs() - before
}

/** Watches the event loop: `stop` tells the processor time of its longest turn, milliseconds. */
export function watchTurns(): { stop(): number } {
  let longest = 0
  let last = processorMs()
  const timer = setInterval(look, 1)
  function look(): void {
    const now = processorMs()
    longest = Math.max(longest, now - last)
    last = now
  }
  return {
    stop() {
      clearInterval(timer)
      look()
      return longest
    },
  }
}
