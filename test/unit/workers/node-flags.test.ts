import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeFlags } from '../../../src/workers/pool.ts'

const BOUND = '--max-semi-space-size=4'

const cases: Record<string, { execArgv: readonly string[]; nodeOptions: string; flags: readonly string[] }> = {
  'a worker has a bound for young garbage': { execArgv: [], nodeOptions: '', flags: [BOUND] },
  'a worker has the flags of the primary as well': {
    execArgv: ['--enable-source-maps'],
    nodeOptions: '--max-old-space-size=512',
    flags: ['--enable-source-maps', BOUND],
  },
  'a bound in NODE_OPTIONS counts': { execArgv: [], nodeOptions: '--max-semi-space-size=16', flags: [] },
  'a bound of the primary counts': {
    execArgv: ['--max-semi-space-size=64'],
    nodeOptions: '',
    flags: ['--max-semi-space-size=64'],
  },
}

for (const [name, { execArgv, nodeOptions, flags }] of Object.entries(cases)) {
  test(name, () => assert.deepEqual(nodeFlags(execArgv, nodeOptions), flags))
}
