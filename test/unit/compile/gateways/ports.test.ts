import assert from 'node:assert/strict'
import test from 'node:test'
import { placeServers } from '../../../../src/compile/gateways/ports.ts'
import { defaultCompileOptions } from '../../../../src/compile/options.ts'
import { createWorkload } from '../../../../src/compile/workload.ts'
import type { Server } from '../../../../src/resources/gateway.ts'
import { gateway, httpServer, httpsServer } from '../snapshots.ts'

const http = httpServer()
const tcp: Server = { port: { number: 80, name: 'tcp', protocol: 'TCP' }, hosts: ['*'] }
const https = httpsServer(['a.test'], 'secret', 80, 'https-a')
const passthrough: Server = {
  port: { number: 80, name: 'tls', protocol: 'TLS' },
  hosts: ['b.test'],
  tls: { mode: 'PASSTHROUGH' },
}
const bound: Server = { ...tcp, bind: '127.0.0.1' }
const bare: Server = { port: { number: 80, name: 'bare', protocol: 'HTTPS' }, hosts: ['c.test'] }

/** Two Gateways with one server each on port 80: how many servers are placed, and on how many listeners. */
const rows: Record<string, [first: Server, second: Server, servers: number, listeners: number]> = {
  'plaintext joins plaintext': [http, http, 2, 1],
  'grpc joins plaintext': [http, { ...http, port: { number: 80, name: 'grpc', protocol: 'grpc' } }, 2, 1],
  'TCP does not join plaintext': [http, tcp, 1, 1],
  'plaintext does not join TCP': [tcp, http, 1, 1],
  'TCP does not join TCP': [tcp, tcp, 1, 1],
  'TLS does not join plaintext': [http, https, 1, 1],
  'plaintext does not join TLS': [https, http, 1, 1],
  'TLS joins TLS under other names': [https, httpsServer(['b.test'], 'secret', 80), 2, 1],
  'passthrough joins TLS': [https, passthrough, 2, 1],
  'a TLS host that is taken drops the whole server': [https, httpsServer(['b.test', 'a.test'], 'secret', 80), 1, 1],
  'the same host for another namespace is another name': [https, httpsServer(['shop/a.test'], 'secret', 80), 2, 1],
  'another bind address is another listener': [http, bound, 2, 2],
  'TLS without a tls block is dropped': [https, bare, 1, 1],
}

for (const [name, [first, second, servers, listeners]] of Object.entries(rows)) {
  test(`servers on one port: ${name}`, () => {
    const gateways = [gateway([first], 'first'), gateway([second], 'second')]
    const placed = placeServers(gateways, createWorkload(defaultCompileOptions(), gateways))
    assert.equal(placed.ports.flatMap((port) => port.servers).length, servers)
    assert.equal(placed.ports.length, listeners)
    const dropped = placed.problems.filter(({ code }) => code === 'gateway/server-dropped')
    assert.equal(dropped.length, 2 - servers)
  })
}
