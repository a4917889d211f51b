import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createAccessLogger } from '../../../src/observability/access-log.ts'
import { createLineWriter } from '../../../src/observability/line-writer.ts'
import { makeExchange } from '../exchange/make-exchange.ts'

const folder = mkdtempSync(join(tmpdir(), 'sluice-access-log-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const now = () => performance.now()

async function eventually(check: () => boolean, limitMs = 3000): Promise<void> {
  const end = now() + limitMs
  while (!check()) {
    assert.ok(now() < end, 'it did not come true in time')
    await sleep(5)
  }
}

test('a line is in the file within a moment, without another request or the end of the program', async () => {
  const file = join(folder, 'soon.log')
  const log = createAccessLogger(
    { file, encoding: 'TEXT', format: '%RESPONSE_CODE% %REQ(:PATH)%' },
    { hostname: '', environment: {}, now, onError: (error) => assert.fail(error) },
  )
  log.log(makeExchange({ path: '/a' }), 1)
  await eventually(() => readFileSync(file, 'utf8') === '200 /a\n')
  await log.close()
})

test('a format that does not compile is told, and lines are written in the default one', async () => {
  const file = join(folder, 'bad-format.log')
  const errors: string[] = []
  const log = createAccessLogger(
    { file, encoding: 'TEXT', format: '%NOT_THERE%' },
    { hostname: '', environment: {}, now, onError: (error) => errors.push(error.message) },
  )
  log.log(makeExchange(), 1)
  await log.close()
  assert.match(errors.join(), /%NOT_THERE%/)
  assert.match(readFileSync(file, 'utf8'), /^\[2026-01-02T03:04:05\.678Z\] "GET \/ HTTP\/1\.1" 200/)
})

test('reopen goes on in a new file after the old one was moved, and loses nothing', async () => {
  const file = join(folder, 'rotated.log')
  const writer = createLineWriter({ file, now })
  writer.write('one\n')
  await eventually(() => readFileSync(file, 'utf8') === 'one\n')
  renameSync(file, `${file}.1`)
  writer.write('two\n')
  writer.reopen()
  writer.write('three\n')
  await writer.close()
  await eventually(() => readFileSync(`${file}.1`, 'utf8') === 'one\ntwo\n')
  assert.equal(readFileSync(file, 'utf8'), 'three\n')
  assert.equal(writer.dropped(), 0)
})

test('a file that cannot be opened drops and counts lines, and is tried again later', async () => {
  const file = join(folder, 'later', 'access.log')
  const errors: Error[] = []
  let time = 0
  const writer = createLineWriter({ file, now: () => time, delayMs: 1, onError: (error) => errors.push(error) })
  writer.write('lost\n')
  writer.write('lost too\n')
  await eventually(() => writer.dropped() === 2)
  await mkdir(join(folder, 'later'))
  time = 5000
  writer.write('kept\n')
  await eventually(() => existsSync(file) && readFileSync(file, 'utf8') === 'kept\n')
  await writer.close()
  assert.equal(writer.dropped(), 2)
  assert.equal(errors.length, 1)
})

test(
  'a disk without room drops what does not fit in the backlog, and never throws',
  { skip: !existsSync('/dev/full') },
  async () => {
    const errors: Error[] = []
    const writer = createLineWriter({
      file: '/dev/full',
      now,
      maxBacklogBytes: 8192,
      onError: (error) => errors.push(error),
    })
    const line = `${'x'.repeat(99)}\n`
    for (let i = 0; i < 1000; i += 1) writer.write(line)
    await eventually(() => errors.length > 0)
    await writer.close(50)
    assert.ok(writer.dropped() >= 900, `${writer.dropped()} lines dropped`)
    assert.equal(errors.length, 1)
    assert.equal((errors[0] as NodeJS.ErrnoException).code, 'ENOSPC')
  },
)

test('lines after close are counted as dropped', async () => {
  const writer = createLineWriter({ file: join(folder, 'closed.log'), now })
  await writer.close()
  writer.write('late\n')
  assert.equal(writer.dropped(), 1)
})

/** A process that writes lines of one letter to its standard output, as workers do. */
const WORKER = `
  import { createLineWriter } from ${JSON.stringify(new URL('../../../src/observability/line-writer.ts', import.meta.url).href)}
  const writer = createLineWriter({ file: '/dev/stdout', now: () => performance.now() })
  const letter = process.argv.at(-1)
  for (let i = 0; i < 2000; i += 1) {
    writer.write(letter.repeat(50 + (i % 200)) + '\\n')
    if (i % 50 === 0) await new Promise(setImmediate)
  }
  await writer.close(5000)
`

test('lines of several processes on one pipe are never mixed', async () => {
  const script = 'for letter in a b; do "$0" --input-type=module-typescript -e "$1" -- $letter & done; wait'
  const shell = spawn('sh', ['-c', script, process.execPath, WORKER], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  shell.stdout.setEncoding('latin1').on('data', (chunk: string) => {
    output += chunk
  })
  await once(shell, 'close')
  const lines = output.split('\n')
  assert.equal(lines.pop(), '')
  assert.equal(lines.length, 4000)
  assert.deepEqual(
    lines.filter((line) => !/^(a+|b+)$/.test(line) || line.length < 50),
    [],
  )
})

test('a closed pipe does not stop the process', async () => {
  const script = `
    import { createLineWriter } from ${JSON.stringify(new URL('../../../src/observability/line-writer.ts', import.meta.url).href)}
    const writer = createLineWriter({ file: '/dev/stdout', now: () => performance.now(), maxBacklogBytes: 10000 })
    for (let i = 0; i < 200; i += 1) {
      writer.write('x'.repeat(500) + '\\n')
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await writer.close(50)
    process.stderr.write(String(writer.dropped() > 0))
  `
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.stdout.destroy()
  let told = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    told += chunk
  })
  const [code] = (await once(child, 'close')) as [number]
  assert.equal(code, 0)
  assert.equal(told, 'true')
})
