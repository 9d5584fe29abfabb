/** What this program is called and which version it is. */

/** Put in by the bundler from package.json. */
declare const __VERSION__: string | undefined

export const packageName = 'mcp-proxy-server'
export const version: string = typeof __VERSION__ === 'string' ? __VERSION__ : '0.0.0-source'

/** Newest first. */
export const protocolRevisions: readonly string[] = ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05']
