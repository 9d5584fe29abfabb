// Preloaded into what is measured: on SIGUSR2 writes memory (after a collection, if there is `gc`) and event-loop delay to a file.
import { writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

const file = process.env.BENCH_WATCH
if (file && !process.argv[1]?.includes('backend')) {
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  process.on('SIGUSR2', () => {
    globalThis.gc?.()
    globalThis.gc?.()
    const { rss, heapUsed, external } = process.memoryUsage()
    writeFileSync(`${file}.${process.pid}`, JSON.stringify({ rss, heapUsed, external, delayP50: delay.percentile(50) / 1e6, delayP99: delay.percentile(99) / 1e6, delayMax: delay.max / 1e6 }))
    delay.reset()
  })
}
