// Stands before a server as npx does: starts it, lends it its pipes, heeds no signal and waits. `--detached` puts the server
// into a group of its own.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const args = process.argv.slice(2)
const server = spawn(process.execPath, [fileURLToPath(new URL('rogue.mjs', import.meta.url)), ...args.filter(arg => arg !== '--detached')], {
  stdio: 'inherit', detached: args.includes('--detached'),
})
process.on('SIGTERM', () => {})
server.on('exit', code => process.exit(code ?? 1))
