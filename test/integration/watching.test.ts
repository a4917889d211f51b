/** Every way in which files come to be different, and that the gateway follows: one gateway, a folder for each way. */
import assert from 'node:assert/strict'
import {
  appendFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { ask, eventually, GATEWAY } from '../support/live.ts'
import { answering, createWorkspace, type GatewayProcess, startGatewayProcess } from '../support/process.ts'

/** Events are followed within a second; the look at everything, which would hide a lost one, is every five. */
const SOON_MS = 3000

const workspace = createWorkspace({ 'gateway.yaml': GATEWAY + answering('still.test', 'still') })
/** A folder that is configured by way of a link, as mounts and releases often are. */
const linked = join(workspace.root, 'linked')
let gateway: GatewayProcess

before(async () => {
  mkdirSync(join(workspace.root, 'release-1'))
  mkdirSync(join(workspace.root, 'release-2'))
  symlinkSync('release-1', linked)
  gateway = await startGatewayProcess({ workspace, config: [workspace.config, linked] })
})
after(async () => {
  await workspace.remove()
})

const path = (name: string) => join(workspace.config, name)

function put(name: string, text: string): void {
  mkdirSync(dirname(path(name)), { recursive: true })
  writeFileSync(path(name), text)
}

/** What a host answers: its body, or the status. */
async function served(host: string): Promise<string> {
  const { status, body } = await ask({ port: gateway.port(), host })
  return status === 200 ? body : String(status)
}

async function becomes(host: string, expected: string): Promise<void> {
  await eventually(async () => assert.equal(await served(host), expected), SOON_MS)
}

/** Asks all the time while something is done. @returns Every different answer, in order, from the one before it. */
async function watched(host: string, work: () => Promise<void>): Promise<string[]> {
  const answers = [await served(host)]
  let done = false
  const asking = (async () => {
    for (let last = false; !last;) {
      last = done
      const answer = await served(host)
      if (answers.at(-1) !== answer) answers.push(answer)
      await wait(5)
    }
  })()
  try {
    await work()
  } finally {
    done = true
    await asking
  }
  return answers
}

test('a file that is renamed into its place is served', async () => {
  workspace.write('atomic.yaml', answering('atomic.test', 'one'))
  await becomes('atomic.test', 'one')
  workspace.write('atomic.yaml', answering('atomic.test', 'two'))
  await becomes('atomic.test', 'two')
})

test('a file that is written in place is served', async () => {
  put('plain.yaml', answering('plain.test', 'one'))
  await becomes('plain.test', 'one')
  put('plain.yaml', answering('plain.test', 'two'))
  await becomes('plain.test', 'two')
})

test('a file that is deleted takes its hosts with it', async () => {
  put('gone.yaml', answering('gone.test', 'one'))
  await becomes('gone.test', 'one')
  unlinkSync(path('gone.yaml'))
  await becomes('gone.test', '404')
})

test('a file that is removed and written again while it is saved is never missing', async () => {
  put('resaved.yaml', answering('resaved.test', 'one'))
  await becomes('resaved.test', 'one')
  const answers = await watched('resaved.test', async () => {
    unlinkSync(path('resaved.yaml'))
    await wait(20)
    put('resaved.yaml', answering('resaved.test', 'two'))
    await becomes('resaved.test', 'two')
  })
  assert.deepEqual(answers, ['one', 'two'])
})

test('a file that is emptied and filled again while it is saved is never missing', async () => {
  put('emptied.yaml', answering('emptied.test', 'one'))
  await becomes('emptied.test', 'one')
  const answers = await watched('emptied.test', async () => {
    truncateSync(path('emptied.yaml'))
    await wait(20)
    appendFileSync(path('emptied.yaml'), answering('emptied.test', 'two'))
    await becomes('emptied.test', 'two')
  })
  assert.deepEqual(answers, ['one', 'two'])
})

test('a file that stays empty has no hosts any more', async () => {
  put('empty.yaml', answering('empty.test', 'one'))
  await becomes('empty.test', 'one')
  truncateSync(path('empty.yaml'))
  await becomes('empty.test', '404')
})

test('of many writes in a row the last one is served, though size and time may be the same', async () => {
  for (const pauseMs of [0, 1, 3]) {
    for (let count = 100; count < 250; count++) {
      put('rapid.yaml', answering('rapid.test', String(count)))
      if (pauseMs > 0) await wait(pauseMs)
    }
    await becomes('rapid.test', '249')
    put('rapid.yaml', answering('rapid.test', '100'))
    put('rapid.yaml', answering('rapid.test', '999'))
    await becomes('rapid.test', '999')
  }
})

test('a file that moves to another name or folder is never missing', async () => {
  put('moved.yaml', answering('moved.test', 'one'))
  await becomes('moved.test', 'one')
  const answers = await watched('moved.test', async () => {
    renameSync(path('moved.yaml'), path('moved-on.yaml'))
    await wait(300)
    put('elsewhere/other.yaml', answering('elsewhere.test', 'here'))
    await becomes('elsewhere.test', 'here')
    renameSync(path('moved-on.yaml'), path('elsewhere/moved.yaml'))
    await wait(300)
    put('elsewhere/moved.yaml', answering('moved.test', 'two'))
    await becomes('moved.test', 'two')
  })
  assert.deepEqual(answers, ['one', 'two'])
})

test('new folders in new folders are watched', async () => {
  put('new/deep/er/file.yaml', answering('deep.test', 'one'))
  await becomes('deep.test', 'one')
  put('new/deep/er/file.yaml', answering('deep.test', 'two'))
  await becomes('deep.test', 'two')
  put('new/deep/other/file.yaml', answering('deeper.test', 'one'))
  await becomes('deeper.test', 'one')
})

test('a folder that is removed takes its hosts with it, and brings them back', async () => {
  put('folder/file.yaml', answering('folder.test', 'one'))
  await becomes('folder.test', 'one')
  rmSync(path('folder'), { recursive: true })
  await becomes('folder.test', '404')
  put('folder/file.yaml', answering('folder.test', 'two'))
  await becomes('folder.test', 'two')
  put('folder/file.yaml', answering('folder.test', 'three'))
  await becomes('folder.test', 'three')
})

test('a mounted ConfigMap is followed: all its files change with one link', async () => {
  const mount = (version: string) => {
    put(`mount/..${version}/file.yaml`, answering('mounted.test', version))
    put(`mount/..${version}/second.yaml`, answering('second.test', version))
    symlinkSync(`..${version}`, path('mount/..data_tmp'))
    renameSync(path('mount/..data_tmp'), path('mount/..data'))
  }
  mount('one')
  symlinkSync('..data/file.yaml', path('mount/file.yaml'))
  symlinkSync('..data/second.yaml', path('mount/second.yaml'))
  await becomes('mounted.test', 'one')
  const answers = await watched('mounted.test', async () => {
    for (const version of ['two', 'three']) {
      mount(version)
      rmSync(path(`mount/..${version === 'two' ? 'one' : 'two'}`), { recursive: true })
      await becomes('mounted.test', version)
      assert.equal(await served('second.test'), version)
    }
  })
  // The one in the middle may be gone before anybody asks.
  assert.deepEqual(
    answers.filter((answer) => answer !== 'two'),
    ['one', 'three'],
  )
})

test('a configured folder that is a link may be pointed elsewhere', async () => {
  writeFileSync(join(workspace.root, 'release-1', 'a.yaml'), answering('release.test', 'one'))
  await becomes('release.test', 'one')
  writeFileSync(join(workspace.root, 'release-2', 'a.yaml'), answering('release.test', 'two'))
  symlinkSync('release-2', `${linked}-new`)
  renameSync(`${linked}-new`, linked)
  await becomes('release.test', 'two')
  writeFileSync(join(workspace.root, 'release-2', 'a.yaml'), answering('release.test', 'three'))
  await becomes('release.test', 'three')
})

test('a configured folder that disappears serves on, says so, and is followed again when it is back', async () => {
  await becomes('still.test', 'still')
  renameSync(workspace.config, `${workspace.config}-away`)
  await eventually(async () => {
    const { sources, inStep } = await gateway.status()
    assert.match(sources[0]!.error ?? '', /no such file or folder/)
    assert.equal(inStep, false)
  }, SOON_MS)
  assert.equal(await served('still.test'), 'still')
  renameSync(`${workspace.config}-away`, workspace.config)
  await eventually(async () => assert.equal((await gateway.status()).sources[0]!.error, null), SOON_MS)
  workspace.write('gateway.yaml', GATEWAY + answering('still.test', 'again'))
  await becomes('still.test', 'again')
})

test('SIGHUP reads the files again', async () => {
  const already = gateway.log().filter(({ msg }) => String(msg).startsWith('SIGHUP')).length
  gateway.signal('SIGHUP')
  await eventually(() => {
    assert.equal(gateway.log().filter(({ msg }) => String(msg).startsWith('SIGHUP')).length, already + 1)
  })
  assert.equal(await served('still.test'), 'again')
})
