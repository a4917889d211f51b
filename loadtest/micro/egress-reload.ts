/**
 * What a change of one of 10,000 ServiceEntries (2,000 of them wildcards) costs with the forward proxy: compiling, and
 * finding out what to send. Applying it in a worker is one look at each destination in use.
 */
import { createCompiler } from '../../src/compile/compile.ts'
import { defaultCompileOptions } from '../../src/compile/options.ts'
import { nextParts, type Parts } from '../../src/plan/parts.ts'
import { parseObject } from '../../src/resources/parse.ts'
import { createResourceStore } from '../../src/resources/store.ts'

const COUNT = 10_000
const entry = (i: number, port: number) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: { name: `entry-${i}`, namespace: 'shop' },
  spec: {
    hosts: [i % 5 === 0 ? `*.wild-${i}.example.net` : `host-${i}.example.com`],
    ports: [{ number: port, name: 'tls', protocol: 'TLS' }],
    resolution: i % 5 === 0 ? 'NONE' : 'DNS',
  },
})
const store = createResourceStore()
const compiler = createCompiler({ ...defaultCompileOptions(), egress: { host: '127.0.0.1', port: 3128 } })
const put = (source: string, objects: readonly object[]) => {
  store.apply([{ source, documents: objects.map((object) => parseObject(object)), complete: true }])
}
for (let file = 0; file < 100; file++) {
  put(
    `file-${file}`,
    Array.from({ length: COUNT / 100 }, (_, i) => entry(file * 100 + i, 443)),
  )
}
let parts: Parts = new Map()
const once = () => {
  const started = performance.now()
  const { plan } = compiler.compile(store.snapshot())
  const compiled = performance.now()
  const next = nextParts(plan, parts)
  parts = next.parts
  return { compileMs: compiled - started, partsMs: performance.now() - compiled, changed: next.update.set.length }
}
const show = (name: string, { compileMs, partsMs, changed }: ReturnType<typeof once>) => {
  console.log(
    `${name.padEnd(28)} compile ${compileMs.toFixed(0)} ms, parts ${partsMs.toFixed(0)} ms, ${changed} parts to send`,
  )
}
show('all of them', once())
for (let round = 0; round < 5; round++) {
  put(
    'file-7',
    Array.from({ length: COUNT / 100 }, (_, i) => entry(700 + i, i === 3 ? 8443 + round : 443)),
  )
  show('one changed', once())
}
