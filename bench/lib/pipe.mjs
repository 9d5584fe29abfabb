// A plain pipe: bytes in, bytes out, nothing looked at. `pipe.mjs -- command args…`
import { spawn } from 'node:child_process'

const [command, ...args] = process.argv.slice(process.argv.indexOf('--') + 1)
const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
process.stdin.pipe(child.stdin)
child.stdout.pipe(process.stdout)
child.on('exit', () => process.exit(0))
