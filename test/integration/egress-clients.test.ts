/** Programs that people have, through the forward proxy, against servers of this machine. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { TestCertificates } from '../support/certificates.ts'
import { entry, type ForwardProxy, pinnedTo, startForwardProxy } from '../support/forward-proxy.ts'
import { skipWithout } from '../support/requirements.ts'

let folder: string
let certificates: TestCertificates
let caFile: string
let plain: Server
let secure: HttpsServer
let proxy: ForwardProxy
/** Host and path of each request that came, and the Git repository and packages that are served. */
const seen: string[] = []

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'egress-clients-'))
  certificates = new TestCertificates()
  const ca = certificates.authority('clients')
  caFile = ca.certificateFile
  const leaf = certificates.leaf(ca, ['secure.test'])
  const serve = (req: IncomingMessage, res: ServerResponse) => {
    seen.push(`${req.headers.host} ${req.url}`)
    // Whoever asks outside of the folder gets nothing.
    const path = decodeURIComponent(new URL(req.url!, 'http://x').pathname)
    try {
      if (path.startsWith('/files/') && !path.includes('..')) res.end(readFileSync(join(folder, path)))
      else if (path === '/hello') res.end('hello')
      else res.writeHead(404).end()
    } catch {
      res.writeHead(404).end()
    }
  }
  plain = createServer(serve).listen(0, '127.0.0.1')
  secure = createHttpsServer({ cert: leaf.certificate, key: leaf.key }, serve).listen(0, '127.0.0.1')
  await Promise.all([once(plain, 'listening'), once(secure, 'listening')])
  const portOf = (server: Server | HttpsServer) => (server.address() as AddressInfo).port
  proxy = await startForwardProxy(
    entry('plain.test', 80, 'HTTP', pinnedTo(portOf(plain))) +
      entry('secure.test', 443, 'HTTPS', pinnedTo(portOf(secure))),
  )
})

after(async () => {
  await proxy.stop()
  for (const server of [plain, secure]) {
    server.close()
    server.closeAllConnections()
  }
  certificates.remove()
  rmSync(folder, { recursive: true, force: true })
})

/** Runs a program with nothing of this machine's own settings. */
async function run(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: number | null; out: string; err: string }> {
  const address = `http://127.0.0.1:${proxy.proxyPort}`
  const child: ChildProcess = spawn(program, args, {
    cwd: folder,
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: folder,
      http_proxy: address,
      https_proxy: address,
      HTTP_PROXY: address,
      HTTPS_PROXY: address,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  })
  let [out, err] = ['', '']
  child.stdout!.on('data', (text) => (out += String(text)))
  child.stderr!.on('data', (text) => (err += String(text)))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, out, err }
}

test('curl, over HTTP and over HTTPS', { skip: skipWithout('curl') }, async () => {
  assert.equal((await run('curl', ['-sS', 'http://plain.test/hello'])).out, 'hello')
  assert.equal((await run('curl', ['-sS', '--cacert', caFile, 'https://secure.test/hello'])).out, 'hello')
  // A tunnel where none is needed.
  assert.equal((await run('curl', ['-sS', '--proxytunnel', 'http://plain.test/hello'])).out, 'hello')
  const refused = await run('curl', ['-sS', '-o', '/dev/null', '-w', '%{http_code}', 'http://other.test/'])
  assert.equal(refused.out, '403')
  const closed = await run('curl', ['-sS', 'https://other.test/'])
  assert.notEqual(closed.code, 0)
  assert.match(closed.err, /403/)
})

test('Node’s fetch, and its http and https', async () => {
  const script = `
    const { get } = require('node:https')
    const text = async (url) => { const res = await fetch(url); return res.status + ' ' + await res.text() }
    const viaHttps = new Promise((resolve, reject) => get('https://secure.test/hello', (res) => {
      let body = ''; res.on('data', (part) => body += part); res.on('end', () => resolve(body))
    }).on('error', reject))
    Promise.all([text('http://plain.test/hello'), text('https://secure.test/hello'), viaHttps, text('http://other.test/')])
      .then((answers) => { console.log(JSON.stringify(answers)); process.exit(0) })
  `
  const { out, err } = await run(process.execPath, ['-e', script], {
    NODE_USE_ENV_PROXY: '1',
    NODE_EXTRA_CA_CERTS: caFile,
  })
  assert.deepEqual(
    JSON.parse(out || `"${err}"`),
    ['200 hello', '200 hello', 'hello', '403 egress to other.test:80 is not allowed'],
    err,
  )
})

test('git clones', { skip: skipWithout('git') }, async () => {
  const work = join(folder, 'work')
  const git = (...args: string[]) => execFileSync('git', args, { cwd: folder, stdio: 'pipe' })
  git('init', '-q', work)
  writeFileSync(join(work, 'README'), 'cloned through the proxy')
  const identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.test']
  git('-C', work, 'add', 'README')
  git('-C', work, ...identity, 'commit', '-q', '-m', 'one')
  mkdirSync(join(folder, 'files'), { recursive: true })
  git('clone', '-q', '--bare', work, join(folder, 'files', 'repository.git'))
  git('-C', join(folder, 'files', 'repository.git'), 'update-server-info')
  for (const [url, ...options] of [
    ['http://plain.test/files/repository.git'],
    ['https://secure.test/files/repository.git', '-c', `http.sslCAInfo=${caFile}`],
  ]) {
    const target = join(folder, `clone-${new URL(url!).hostname}`)
    const cloned = await run('git', [...options, 'clone', '-q', url!, target], { GIT_TERMINAL_PROMPT: '0' })
    assert.equal(cloned.code, 0, cloned.err)
    assert.equal(readFileSync(join(target, 'README'), 'utf8'), 'cloned through the proxy')
  }
  const refused = await run('git', ['clone', '-q', 'https://other.test/x.git', join(folder, 'none')], {
    GIT_TERMINAL_PROMPT: '0',
  })
  assert.match(refused.err, /403/)
})

test('npm installs a package', async () => {
  const own = join(folder, 'package')
  mkdirSync(own, { recursive: true })
  mkdirSync(join(folder, 'files'), { recursive: true })
  writeFileSync(join(own, 'package.json'), JSON.stringify({ name: 'from-the-proxy', version: '1.0.0' }))
  const npm = (args: string[], env: Record<string, string> = {}) =>
    run('npm', [...args, '--no-audit', '--no-fund', '--no-update-notifier', '--loglevel', 'error'], env)
  const packed = await npm(['pack', own, '--pack-destination', join(folder, 'files')])
  assert.equal(packed.code, 0, packed.err)
  const target = join(folder, 'install')
  mkdirSync(target, { recursive: true })
  writeFileSync(join(target, 'package.json'), '{}')
  const settings = {
    npm_config_proxy: `http://127.0.0.1:${proxy.proxyPort}`,
    npm_config_https_proxy: `http://127.0.0.1:${proxy.proxyPort}`,
    npm_config_cafile: caFile,
    npm_config_noproxy: '',
  }
  const url = 'https://secure.test/files/from-the-proxy-1.0.0.tgz'
  const installed = await npm(['install', '--prefix', target, '--prefer-online', url], settings)
  assert.equal(installed.code, 0, installed.err)
  assert.ok(seen.includes('secure.test /files/from-the-proxy-1.0.0.tgz'))
  assert.match(readFileSync(join(target, 'node_modules/from-the-proxy/package.json'), 'utf8'), /from-the-proxy/)
})

test('apt reads an index', { skip: skipWithout('apt-get') }, async () => {
  const root = join(folder, 'apt')
  for (const part of ['etc/sources.list.d', 'state/lists/partial', 'cache/archives/partial', '../files/dists']) {
    mkdirSync(join(root, part), { recursive: true })
  }
  const index = 'Package: from-the-proxy\nVersion: 1.0\nArchitecture: all\nFilename: ./none.deb\nSize: 1\nSHA256: 00\n'
  writeFileSync(join(folder, 'files', 'Packages.gz'), gzipSync(index))
  writeFileSync(join(root, 'etc/sources.list'), 'deb [trusted=yes] http://plain.test/files ./\n')
  writeFileSync(join(root, 'status'), '')
  const options = [
    `Dir::Etc=${join(root, 'etc')}`,
    `Dir::State=${join(root, 'state')}`,
    `Dir::State::status=${join(root, 'status')}`,
    `Dir::Cache=${join(root, 'cache')}`,
    `Acquire::http::Proxy=http://127.0.0.1:${proxy.proxyPort}`,
    'APT::Sandbox::User=root',
    'Acquire::Retries=0',
  ].flatMap((option) => ['-o', option])
  const updated = await run('apt-get', [...options, 'update'])
  assert.equal(updated.code, 0, updated.out + updated.err)
  assert.ok(seen.includes('plain.test /files/Packages.gz'), seen.join('\n'))
  assert.match((await run('apt-cache', [...options, 'policy', 'from-the-proxy'])).out, /Candidate: 1\.0/)
})
