/** Decision 0010: what linear time costs on usual patterns, and what a backtracking engine costs on a hostile one. */
import { compileLinearRegex } from '../../src/lib/linear-regex.ts'
import { nanosPerCall, printTable } from './measure.ts'

const rows: (string | number)[][] = []
for (const [pattern, text] of [
  ['/items/.*', '/items/42'],
  ['/items/[0-9]+', '/items/4242'],
  ['/(red|green|blue)/.*', '/green/apple'],
  ['[a-z]{2}\\.shop\\.example', 'fr.shop.example'],
] as const) {
  const linear = compileLinearRegex(pattern)
  if (!linear.ok) throw new Error(linear.reason)
  const native = new RegExp(`^(?:${pattern})$`)
  const nanos = nanosPerCall({ linear: () => linear.matches(text), native: () => native.test(text) })
  rows.push([pattern, nanos['linear']!, nanos['native']!])
}
printTable(['pattern', 'ns linear', 'ns backtracking'], rows)

const hostile = '(a+)+b'
const linear = compileLinearRegex(hostile)
if (!linear.ok) throw new Error(linear.reason)
const native = new RegExp(`^(?:${hostile})$`)
const hostileRows: (string | number)[][] = []
for (const length of [16, 20, 24]) {
  const text = 'a'.repeat(length)
  const nanos = nanosPerCall(
    { linear: () => linear.matches(text), native: () => native.test(text) },
    { rounds: 1, calls: 2 },
  )
  hostileRows.push([String(length), nanos['linear']! / 1000, nanos['native']! / 1000])
}
printTable([`letters of input to ${hostile}`, 'µs linear', 'µs backtracking'], hostileRows)
