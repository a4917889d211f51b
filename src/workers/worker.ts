/** Entry of a worker process. What was compiled once is read from disk the next time: half of a worker's start. */
import nodeModule from 'node:module'

nodeModule.enableCompileCache()
await import('./worker-process.ts')
