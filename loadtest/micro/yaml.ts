/** Decision 0009: reading 1,000 VirtualServices by js-yaml and by yaml, which knows positions. */
import { loadAll } from 'js-yaml'
import { parseAllDocuments } from 'yaml'
import { printTable } from './measure.ts'

const rules = Array.from(
  { length: 5 },
  (_, i) => `  - name: rule-${i}
    match:
    - uri: { prefix: /api/v${i}/ }
      headers: { x-tenant: { exact: tenant-${i} } }
    route:
    - destination: { host: shop.default.svc.cluster.local, port: { number: 80 }, subset: v${i} }
      weight: 100
`,
).join('')
const text = Array.from(
  { length: 1000 },
  (_, i) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: host-${i}, namespace: default }
spec:
  hosts: [host-${i}.example.com]
  gateways: [istio-system/edge]
  http:
${rules}`,
).join('---\n')

const rows: (string | number)[][] = []
for (const [name, read] of [
  ['js-yaml', () => loadAll(text)],
  ['yaml', () => parseAllDocuments(text).map((document) => document.toJS() as unknown)],
] as const) {
  read()
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  const began = performance.now()
  const kept = read()
  rows.push([name, performance.now() - began, (process.memoryUsage().heapUsed - before) / 1024 / 1024])
  if (kept.length !== 1000) throw new Error('not all was read')
}
printTable([`reader (${(text.length / 1024).toFixed(0)} KiB)`, 'ms', 'MiB of heap before collection'], rows)
