/** `--profile DIR`: a CPU profile and a heap sampling profile of a whole command, for the developer tools of any Chromium. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { join } from 'node:path'

export async function profiled(folder: string, work: () => Promise<number>): Promise<number> {
  mkdirSync(folder, { recursive: true })
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.start')
  await session.post('HeapProfiler.startSampling')
  try {
    return await work()
  } finally {
    const cpu = await session.post('Profiler.stop')
    const heap = await session.post('HeapProfiler.stopSampling')
    const stem = join(folder, `mcp-proxy-${process.pid}`)
    writeFileSync(`${stem}.cpuprofile`, JSON.stringify(cpu.profile))
    writeFileSync(`${stem}.heapprofile`, JSON.stringify(heap.profile))
    session.disconnect()
  }
}
