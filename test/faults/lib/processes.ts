/** What the operating system says of processes: memory, open files, children, command lines. Linux only, by /proc. */
import { readdirSync, readFileSync } from 'node:fs'
import { eventually } from '../../fixtures/clients/client.ts'

const entry = (pid: number | string, file: string): string => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}

export const isAlive = (pid: number): boolean => {
  const stat = entry(pid, 'stat')
  // A zombie has ended; it only waits for its parent to hear of it.
  return stat !== '' && !/\) Z /.test(stat)
}

const kilobytes = (pid: number, field: string): number => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(entry(pid, 'status'))?.[1] ?? 0)
export const rssMb = (pid: number): number => kilobytes(pid, 'VmRSS') / 1024
/** Pages of files that are mapped: the program, its libraries. A part of `rssMb`. */
export const programMb = (pid: number): number => kilobytes(pid, 'RssFile') / 1024
export const peakRssMb = (pid: number): number => kilobytes(pid, 'VmHWM') / 1024

export function openFiles(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length
  } catch {
    return 0
  }
}

export const childrenOf = (pid: number): number[] =>
  readdirSync('/proc').map(Number).filter(child => child > 0 && Number(/\) \S (\d+)/.exec(entry(child, 'stat'))?.[1]) === pid)

/** CPU seconds used so far. */
export function cpuSeconds(pid: number): number {
  const fields = entry(pid, 'stat').split(') ')[1]?.split(' ')
  return fields ? (Number(fields[11]) + Number(fields[12])) / 100 : 0
}

export const commandLine = (pid: number): string => entry(pid, 'cmdline').replaceAll('\0', ' ')

export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended.
  }
}

export const ended = (pid: number, timeoutMs = 5000): Promise<true> =>
  eventually(() => (isAlive(pid) ? undefined : true), `process ${pid} to end`, timeoutMs)

export const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0
}
