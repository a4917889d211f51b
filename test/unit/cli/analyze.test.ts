import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { capture } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'analyze-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const GATEWAY = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: web }
spec:
  servers:
    - port: { number: 80, name: http, protocol: HTTP }
      hosts: ['*']
`

const clean = file('clean.yaml', GATEWAY)
const wrong = file(
  'wrong.yaml',
  `${GATEWAY}---\n${GATEWAY.replace('number: 80', 'number: 99999').replace('web', 'other')}`,
)
const warned = file('warned.yaml', GATEWAY.replace('hosts:', 'colour: red\n      hosts:'))

test('analyze: nothing wrong is one line and exit code 0', async () => {
  const { code, stdout } = await capture(['analyze', clean])
  assert.equal(stdout, '1 resource, 0 errors, 0 warnings\n')
  assert.equal(code, 0)
})

test('analyze: an error names file, line, object and field, and is exit code 1', async () => {
  const { code, stdout } = await capture(['analyze', wrong])
  const [first = '', last] = stdout.trimEnd().split('\n')
  assert.ok(first.startsWith(`${wrong}:14: error: Gateway default/other /spec/servers/0/port`), first)
  assert.equal(last, '1 resource, 1 error, 0 warnings')
  assert.equal(code, 1)
})

test('analyze: warnings are exit code 0', async () => {
  const { code, stdout } = await capture(['analyze', warned])
  assert.match(stdout, /:7: warning: Gateway default\/web /)
  assert.equal(code, 0)
})

test('analyze: a path that cannot be read is exit code 2', async () => {
  const { code, stdout } = await capture(['analyze', join(folder, 'missing.yaml')])
  assert.match(stdout, /missing\.yaml: error: /)
  assert.equal(code, 2)
})

test('analyze: --output json has the problems as they are', async () => {
  const { code, stdout } = await capture(['analyze', '--output', 'json', wrong])
  const { errors, problems } = JSON.parse(stdout) as {
    errors: number
    problems: { severity: string; origin: object }[]
  }
  assert.equal(errors, 1)
  assert.deepEqual(
    problems.map(({ severity, origin }) => ({ severity, line: 'line' in origin ? origin.line : undefined })),
    [{ severity: 'error', line: 14 }],
  )
  assert.equal(code, 1)
})
