// Processes of one measured subject: everything that bears its mark in the environment, except the bench's own backends.
import { readdirSync, readFileSync } from 'node:fs'

const ticks = 100 // USER_HZ, which Linux fixes for what it shows in /proc

/** CPU microseconds a process has used so far, from /proc/<pid>/stat: a count, not a share. */
export function cpuMicros(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
    return ((Number(fields[11]) + Number(fields[12])) * 1e6) / ticks
  } catch {
    return 0
  }
}

export function rssBytes(pid) {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}

export function pidsOf(mark, withBackends = false) {
  return readdirSync('/proc').filter(name => {
    if (!/^\d+$/.test(name)) return false
    try {
      if (!readFileSync(`/proc/${name}/environ`, 'latin1').split('\0').includes(`BENCH_SUBJECT=${mark}`)) return false
      return withBackends || !/lib\/backend(-http)?\.mjs$/.test(readFileSync(`/proc/${name}/cmdline`, 'latin1').split('\0')[1] ?? '')
    } catch {
      return false
    }
  }).map(Number)
}

export const cpuOf = pids => pids.reduce((sum, pid) => sum + cpuMicros(pid), 0)
export const rssOf = pids => pids.reduce((sum, pid) => sum + rssBytes(pid), 0)
