#!/usr/bin/env node
// The `sluice` command. Plain JavaScript that every Node understands, so that one which is too old gets a sentence
// instead of a syntax error. In a checkout the sources run as they are; a published package has them built.
import { existsSync } from 'node:fs'
import nodeModule from 'node:module'

const LEAST = [24, 11]

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < LEAST[0] || (major === LEAST[0] && minor < LEAST[1])) {
  process.stderr.write(
    `sluice needs Node ${LEAST.join('.')} or newer, and this is ${process.versions.node}. ` +
      'Use "npm start" or "npx sluice" in the project (npm ci brings a Node of its own), or install a newer Node.\n',
  )
  process.exitCode = 2
} else {
  // What was compiled once is read from disk the next time: a third of the start.
  nodeModule.enableCompileCache()
  const source = new URL('./main.ts', import.meta.url)
  const built = new URL('../../dist/cli/main.js', import.meta.url)
  const { main } = await import((existsSync(source) ? source : built).href)
  await main(process.argv.slice(2))
}
