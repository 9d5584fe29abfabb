/** Percentiles of latencies in milliseconds; sorts them. */
export function spread(latencies) {
  latencies.sort()
  const at = share => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))]
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
}

export const median = values => [...values].sort((a, b) => a - b)[values.length >> 1]
