// Loaded into the proxy with `--import` by tests that must look inside: on SIGUSR2 it writes down how late the event loop
// was since the last time and what is in use. A file of milliseconds beside it shifts the wall clock.
import { Session } from 'node:inspector/promises'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { getHeapCodeStatistics } from 'node:v8'

const resolution = 5
const file = process.env.FAULTS_PROBE
const late = monitorEventLoopDelay({ resolution })
late.enable()
let looks = 0

const RealDate = Date
const realNow = Date.now
function shiftClock(ms) {
  globalThis.Date = class extends RealDate {
    constructor(...given) {
      if (given.length === 0) super(realNow() + ms)
      else super(...given)
    }
    static now() {
      return realNow() + ms
    }
  }
}

// More than `gc()`: what V8 does when memory is short, room for new objects included.
async function giveBack() {
  const session = new Session()
  session.connect()
  await session.post('HeapProfiler.collectGarbage')
  session.disconnect()
}

process.on('SIGUSR2', async () => {
  await giveBack()
  try {
    shiftClock(Number(readFileSync(`${file}.clock`, 'utf8')))
  } catch {
    // No shift is wanted.
  }
  const { rss, heapUsed, external } = process.memoryUsage()
  const { code_and_metadata_size: machine, bytecode_and_metadata_size: bytes } = getHeapCodeStatistics()
  const lateMs = late.max / 1e6 - resolution
  writeFileSync(`${file}.new`, JSON.stringify({ look: ++looks, lateMs: Math.max(0, lateMs), rss, heapUsed, external, code: machine + bytes, now: Date.now() }))
  renameSync(`${file}.new`, file)
  late.reset()
})
