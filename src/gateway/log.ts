/** What every part may say for people. The assembly hands in the real one; tests and libraries use `silent`. */
export interface Log {
  debug(fields: object, text: string): void
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
  /** The same log with `fields` on every line. */
  child(fields: object): Log
}

export const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent }
