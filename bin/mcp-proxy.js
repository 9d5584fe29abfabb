#!/usr/bin/env node
import module from 'node:module'

// From Node 22 on: what was compiled for one start need not be compiled for the next.
module.enableCompileCache?.()
await import('../dist/main.js')
