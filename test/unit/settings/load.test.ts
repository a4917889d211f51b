import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { formatIssue, SettingsError } from '../../../src/settings/issue.ts'
import { type LoadFlags, type LoadHost, loadSettings, type Settings } from '../../../src/settings/load.ts'

function host(parts: Partial<LoadHost> & { readonly file?: string } = {}): LoadHost {
  const { file, ...rest } = parts
  return { env: {}, cwd: '/srv', cores: 4, root: false, home: '/home/op', readFile: () => file, ...rest }
}

const flags = (values: LoadFlags['values'] = {}): LoadFlags => ({ values })

test('without flags, variables and file every setting has its default', async () => {
  const { settings, file, issues } = await loadSettings(flags(), host())
  assert.equal(file, undefined)
  assert.deepEqual(issues, [])
  const expected: Partial<Settings> = {
    config: ['./config'],
    listen: [],
    address: null,
    admin: { host: '127.0.0.1', port: 15000 },
    status: { host: '0.0.0.0', port: 15021 },
    egress: {
      listen: null,
      auditLog: '/dev/stdout',
      encryptedClientHello: 'refuse',
      clientHelloTimeout: 10_000,
      tunnelIdleTimeout: 3_600_000,
      maxTunnels: null,
      maxDestinations: 1024,
      destinationIdleTimeout: 600_000,
      via: [],
      noProxy: [],
    },
    workers: 4,
    labels: null,
    namespace: 'istio-system',
    kubernetes: false,
    bindsLowPorts: false,
    generationHeader: null,
    downstream: {
      maxRequestHeadersKb: 60,
      maxRequestHeaders: 100,
      headersTimeout: 60_000,
      requestTimeout: null,
      idleTimeout: 3_600_000,
      http2MaxConcurrentStreams: 100,
      http2StreamWindowKb: 256,
      http2ResetsPerSecond: 50,
      http10: false,
      misdirected: 'MISDIRECTED',
      proxyProtocol: { ports: [], trustedSources: [] },
      maxConnections: null,
    },
  }
  for (const [name, value] of Object.entries(expected)) assert.deepEqual(settings[name as keyof Settings], value, name)
})

test('a flag wins over the variable, the variable over the file, the file over the default', async () => {
  const file = 'workers: 2\nnamespace: file\naddress: 10.0.0.1\n'
  const env = { SLUICE_WORKERS: '3', SLUICE_NAMESPACE: 'variable' }
  const { settings } = await loadSettings(flags({ workers: '5' }), host({ env, file }))
  assert.equal(settings.workers, 5)
  assert.equal(settings.namespace, 'variable')
  assert.equal(settings.address, '10.0.0.1')
})

test('an empty variable counts as not set', async () => {
  const { settings } = await loadSettings(flags(), host({ env: { SLUICE_WORKERS: '' } }))
  assert.equal(settings.workers, 4)
})

test('the file is the one that --settings names, then SLUICE_SETTINGS, then sluice.yaml in the first config folder', async () => {
  const asked: string[] = []
  const readFile = (path: string): string => {
    asked.push(path)
    return ''
  }
  await loadSettings({ settings: 'a.yaml', values: {} }, host({ readFile, env: { SLUICE_SETTINGS: 'b.yaml' } }))
  await loadSettings(flags(), host({ readFile, env: { SLUICE_SETTINGS: '/etc/b.yaml' } }))
  await loadSettings(flags({ config: ['first', 'second'] }), host({ readFile }))
  await loadSettings(flags(), host({ readFile, env: { SLUICE_CONFIG: 'third,fourth' } }))
  await loadSettings(flags(), host({ readFile }))
  assert.deepEqual(asked, [
    '/srv/a.yaml',
    '/etc/b.yaml',
    '/srv/first/sluice.yaml',
    '/srv/third/sluice.yaml',
    '/srv/config/sluice.yaml',
  ])
})

test('a settings file that was asked for must be there', async () => {
  await assert.rejects(loadSettings({ settings: 'a.yaml', values: {} }, host()), {
    name: 'SettingsError',
    message: 'a.yaml: error: there is no such file.',
  })
})

const mistakes: Record<
  string,
  { file?: string; env?: Record<string, string>; values?: LoadFlags['values']; message: string }
> = {
  'a wrong type names file, line, setting and what was expected': {
    file: 'workers: 2\ndownstream:\n  idleTimeout: 30\n',
    message:
      'config/sluice.yaml:3: error: downstream.idleTimeout: expected a duration of at least 1s, such as "1h", found 30.',
  },
  'a mistyped name names the nearest one': {
    file: 'downstream:\n  idleTimout: 30s\n',
    message:
      'config/sluice.yaml:2: error: downstream.idleTimout: there is no such setting. Did you mean "idleTimeout"?',
  },
  'a mistake in a flag names the flag': {
    values: { admin: 'localhost' },
    message: '--admin: error: expected [HOST:]PORT, such as "127.0.0.1:15000", found "localhost".',
  },
  'a mistake in a variable names the variable': {
    env: { SLUICE_MESH_ACCESS_LOG_ENCODING: 'YAML' },
    message: 'SLUICE_MESH_ACCESS_LOG_ENCODING: error: expected one of TEXT, JSON, found "YAML".',
  },
  'a number out of range names the range': {
    file: 'downstream: { maxRequestHeadersKb: 0 }\n',
    message:
      'config/sluice.yaml:1: error: downstream.maxRequestHeadersKb: expected a whole number from 1 to 8192 KiB, found 0.',
  },
  'a secret that is wrong is not printed': {
    file: 'redis: { url: "hunter2" }\n',
    message: 'config/sluice.yaml:1: error: redis.url: expected a URL that starts with redis:// or rediss://.',
  },
  'a level that is no object says so': {
    file: 'mesh: 5\n',
    message: 'config/sluice.yaml:1: error: mesh: expected fields, found 5.',
  },
  'a file that is no object says so': {
    file: '- a\n',
    message: 'config/sluice.yaml: error: expected settings such as "workers: 2", found a list.',
  },
  'a retry policy with a field that it does not have is refused': {
    file: 'mesh:\n  defaultHttpRetryPolicy: { attemps: 3 }\n',
    message:
      'config/sluice.yaml:2: error: mesh.defaultHttpRetryPolicy: expected an object with any of attempts, perTryTimeout, retryOn, retryRemoteLocalities, retryIgnorePreviousHosts, backoff, each as in a VirtualService, found an object.',
  },
}

for (const [name, { file, env, values, message }] of Object.entries(mistakes)) {
  test(`mistakes: ${name}`, async () => {
    const parts = { ...(file === undefined ? {} : { file }), ...(env === undefined ? {} : { env }) }
    await assert.rejects(loadSettings(flags(values), host(parts)), { name: 'SettingsError', message })
  })
}

test('text that is not YAML names the line', async () => {
  await assert.rejects(loadSettings(flags(), host({ file: 'a: 1\nb: [1\n' })), (error: Error) => {
    assert.ok(error instanceof SettingsError)
    assert.match(error.message, /^config\/sluice\.yaml:[23]: error: is not YAML: /)
    return true
  })
})

test('all mistakes are told at once', async () => {
  await assert.rejects(loadSettings(flags({ admin: 'x' }), host({ file: 'workers: x\nlogLevel: loud\n' })), (error) => {
    assert.equal((error as SettingsError).issues.length, 3)
    return true
  })
})

const warnings: Record<string, { file?: string; env?: Record<string, string>; warning: string }> = {
  'a mesh field that nobody knows': {
    file: 'mesh:\n  acessLogFile: /dev/stdout\n',
    warning:
      'config/sluice.yaml:2: warning: mesh.acessLogFile: there is no such setting. Did you mean "accessLogFile"?',
  },
  'a field that nobody knows further down in the mesh': {
    file: 'mesh: { defaultConfig: { gatewayTopology: { numTrustedProxys: 1 } } }\n',
    warning:
      'config/sluice.yaml:1: warning: mesh.defaultConfig.gatewayTopology.numTrustedProxys: there is no such setting. Did you mean "numTrustedProxies"?',
  },
  'a mesh field that only istiod needs': {
    file: 'mesh:\n  ingressClass: istio\n',
    warning: 'config/sluice.yaml:2: warning: mesh.ingressClass: is known to Istio but has no meaning for this gateway.',
  },
  'a setting that nothing acts on yet': {
    file: 'mesh:\n  enableTracing: false\n',
    warning: 'config/sluice.yaml:2: warning: mesh.enableTracing: has no effect in this version.',
  },
  'a mistyped variable': {
    env: { SLUICE_WORKER: '2' },
    warning: 'SLUICE_WORKER: warning: there is no such setting. Did you mean SLUICE_WORKERS?',
  },
}

for (const [name, { file, env, warning }] of Object.entries(warnings)) {
  test(`a warning, and the gateway starts: ${name}`, async () => {
    const parts = { ...(file === undefined ? {} : { file }), ...(env === undefined ? {} : { env }) }
    const { issues } = await loadSettings(flags(), host(parts))
    assert.deepEqual(issues.map(formatIssue), [warning])
  })
}

test('a setting without effect that is given its default is not worth a warning', async () => {
  const { issues } = await loadSettings(flags(), host({ file: 'mesh: { enableTracing: true }\negress: off\n' }))
  assert.deepEqual(issues, [])
})

test('the variables that Kubernetes makes for a Service called sluice are not settings', async () => {
  const env = {
    SLUICE_SERVICE_HOST: '10.0.0.1',
    SLUICE_SERVICE_PORT_HTTP: '80',
    SLUICE_PORT: 'tcp://10.0.0.1:80',
    SLUICE_PORT_80_TCP_ADDR: '10.0.0.1',
    SLUICE_ADMIN_SERVICE_HOST: '10.0.0.2',
  }
  const { settings, issues } = await loadSettings(flags(), host({ env }))
  assert.deepEqual(issues, [])
  assert.equal(settings.admin.host, '127.0.0.1')
})

test('a secret is not printed with the settings', async () => {
  const { settings } = await loadSettings(flags({ 'redis.url': 'redis://:hunter2@db' }), host())
  assert.equal(settings.redis.url?.reveal(), 'redis://:hunter2@db')
  assert.doesNotMatch(inspect(settings, { depth: 9 }) + JSON.stringify(settings), /hunter2/)
})

test('workers: the number, else the mesh’s concurrency, else one a core', async () => {
  const concurrency = 'mesh: { defaultConfig: { concurrency: 3 } }\n'
  assert.equal((await loadSettings(flags({ workers: '2' }), host({ file: concurrency }))).settings.workers, 2)
  assert.equal((await loadSettings(flags({ workers: 'auto' }), host({ file: concurrency }))).settings.workers, 3)
  assert.equal((await loadSettings(flags(), host())).settings.workers, 4)
})

test('state has a folder of its own for each set of config paths', async () => {
  const at = async (config: readonly string[], env = {}): Promise<string> =>
    (await loadSettings(flags({ config }), host({ env }))).settings.state
  assert.match(await at(['a']), /^\/home\/op\/\.local\/state\/sluice\/[0-9a-f]{16}$/)
  assert.match(await at(['a'], { XDG_STATE_HOME: '/var/state' }), /^\/var\/state\/sluice\//)
  assert.notEqual(await at(['a']), await at(['b']))
  assert.equal(await at(['a', 'b']), await at(['./b', '/srv/a']))
  assert.equal((await loadSettings(flags({ state: 'here' }), host())).settings.state, '/srv/here')
})

test('inside a cluster kubernetes is on unless it is switched off', async () => {
  const env = { KUBERNETES_SERVICE_HOST: '10.0.0.1' }
  assert.equal((await loadSettings(flags(), host({ env }))).settings.kubernetes, true)
  const off = { ...env, SLUICE_KUBERNETES: 'false' }
  assert.equal((await loadSettings(flags(), host({ env: off }))).settings.kubernetes, false)
})
