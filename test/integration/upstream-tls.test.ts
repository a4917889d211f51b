/** TLS to a server that is not Node's, with its own way to refuse. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { TlsTransport } from '../../src/plan/cluster.ts'
import { createTlsDialer } from '../../src/upstreams/tls-dialer.ts'
import { TestCertificates } from '../support/certificates.ts'
import { eventually } from '../support/live.ts'
import { skipWithout } from '../support/requirements.ts'
import { findCommand } from '../support/tools.ts'
import { openMaterials, request, requestAgain, transport } from '../unit/upstreams/tls-peer.ts'

describe('nginx that wants client certificates', { skip: skipWithout('nginx') || skipWithout('openssl') }, () => {
  const made = new TestCertificates()
  const ca = made.authority('nginx')
  const server = made.leaf(ca, ['nginx.test'])
  const client = made.leaf(ca, ['spiffe://cluster.local/ns/istio-system/sa/gateway'])
  const stranger = made.leaf(made.authority('elsewhere'), ['spiffe://cluster.local/ns/istio-system/sa/gateway'])
  let nginx: ChildProcess
  let port = 0

  before(async () => {
    port = await freePort()
    const config = join(made.folder, 'nginx.conf')
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    writeFileSync(
      config,
      `daemon off;
master_process off;
pid ${join(made.folder, 'nginx.pid')};
error_log stderr crit;
events { worker_connections 64; }
http {
${temporary.map((name) => `  ${name}_temp_path ${join(made.folder, name)};`).join('\n')}
  access_log off;
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${server.certificateFile};
    ssl_certificate_key ${server.keyFile};
    ssl_client_certificate ${ca.certificateFile};
    ssl_verify_client on;
    ssl_session_cache shared:sessions:1m;
    location / { return 200 "$ssl_client_verify $ssl_server_name $ssl_session_reused"; }
  }
}
`,
    )
    const program = findCommand('nginx', process.env.PATH)!
    nginx = spawn(program, ['-e', 'stderr', '-p', made.folder, '-c', config], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    await eventually(async () => {
      const probe = connect({ port, host: '127.0.0.1' })
      await once(probe, 'connect').finally(() => probe.destroy())
    }, 10_000)
  })
  after(async () => {
    if (nginx.exitCode === null && nginx.kill()) await once(nginx, 'exit')
    made.remove()
  })

  const dialer = (files: { certificateFile: string; keyFile: string } | null) => {
    const { materials } = openMaterials()
    const changes: Partial<TlsTransport> = {
      mode: 'MUTUAL',
      sni: 'nginx.test',
      subjectAltNames: ['nginx.test'],
      clientCertificate:
        files === null ? null : { kind: 'file', certificatePath: files.certificateFile, keyPath: files.keyFile },
    }
    const made = createTlsDialer(transport(ca.certificateFile, changes), { materials, now: Date.now })
    const endpoint = { address: '127.0.0.1', port, weight: 1 }
    return {
      dial: () => made.dial(endpoint, 'app.test'),
      close: () => {
        made.close()
        materials.close()
      },
    }
  }

  test('the certificate is accepted, the connection used again, the session resumed', async () => {
    const { dial, close } = dialer(client)
    const first = await request(dial())
    const again = await requestAgain(first.connection)
    first.connection.close()
    const second = await request(dial())
    second.connection.close()
    close()
    assert.deepEqual([first.outcome, again.outcome, second.outcome], ['200', '200', '200'])
    assert.deepEqual(
      [first.body, again.body, second.body],
      ['SUCCESS nginx.test .', 'SUCCESS nginx.test .', 'SUCCESS nginx.test r'],
    )
  })

  for (const [name, files] of [
    ['no certificate', null],
    ['a certificate of another authority', stranger],
  ] as const) {
    test(`nginx answers 400 to ${name}`, async () => {
      const { dial, close } = dialer(files)
      const { outcome, connection } = await request(dial())
      connection.close()
      close()
      assert.equal(outcome, '400')
    })
  }
})

/** A port of 127.0.0.1 that nothing listens on a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
