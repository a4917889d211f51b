/** That the size of a configuration is paid once: what guards it counts, and takes no times. `npm run bench:scale` does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadAll } from 'js-yaml'
import { hostOf, virtualService } from '../../loadtest/scale/resources.ts'
import { createCompiler } from '../../src/compile/compile.ts'
import { defaultCompileOptions } from '../../src/compile/options.ts'
import { nextParts, type Parts } from '../../src/plan/parts.ts'
import { parseObject } from '../../src/resources/parse.ts'
import { createResourceStore } from '../../src/resources/store.ts'
import { ask, GATEWAY, routes, service, startGateway } from '../support/live.ts'

const COUNT = 2000

const SCALE_GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: scale }
spec: { servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }] }
`

function loaded() {
  const store = createResourceStore()
  const put = (source: string, yaml: string) =>
    store.apply([{ source, documents: loadAll(yaml).map((value) => parseObject(value)), complete: true }])
  put('gateway', SCALE_GATEWAY)
  for (let index = 0; index < COUNT; index++) put(`app-${index}`, virtualService(index, 0))
  const compiler = createCompiler(defaultCompileOptions())
  let parts: Parts = new Map()
  return {
    put,
    remove: (source: string) => store.apply([], [source]),
    next: () => {
      const { plan } = compiler.compile(store.snapshot())
      const result = nextParts(plan, parts)
      parts = result.parts
      return { ...result, table: plan.routeTables['http.80'] }
    },
  }
}

test('an edit of one of 2,000 VirtualServices compiles, writes and sends its virtual host and nothing else', () => {
  const { put, remove, next } = loaded()
  const first = next()
  assert.equal(first.update.set.filter(([key]) => key.startsWith('vhost/')).length, COUNT)

  put('app-7', virtualService(7, 1))
  const edited = next()
  assert.deepEqual(
    edited.update.set.map(([key]) => key),
    [`vhost/http.80/${hostOf(7)}`],
  )
  assert.deepEqual(edited.update.remove, [])
  const [before, after] = [first.table?.virtualHosts ?? {}, edited.table?.virtualHosts ?? {}]
  const made = Object.keys(after).filter((host) => after[host] !== before[host])
  assert.deepEqual(made, [hostOf(7)], 'all others are the objects that they were')

  put('app-7', virtualService(7, 1))
  assert.deepEqual(next().update, { set: [], remove: [] }, 'a file that is written anew with the same content')

  remove('app-8')
  assert.deepEqual(next().update, { set: [], remove: [`vhost/http.80/${hostOf(8)}`] })
})

test('a worker reads only the virtual hosts that are asked for', async () => {
  const gateway = await startGateway(GATEWAY + service('unused', 1) + routes('[{ directResponse: { status: 200 } }]'))
  try {
    const readable = (host: string) =>
      JSON.stringify({
        host,
        requireTls: false,
        routes: [
          {
            name: '',
            origin: { kind: 'VirtualService', namespace: 'default', name: host },
            match: { path: { kind: 'any' } },
            action: { kind: 'direct-response', status: 204 },
          },
        ],
      })
    const set = Array.from({ length: COUNT }, (_, index) => {
      const host = hostOf(index)
      return [`vhost/http.80/${host}`, index === 7 ? readable(host) : 'whoever reads this fails'] as const
    })
    await gateway.plane.apply({
      type: 'apply',
      update: { set, remove: [] },
      generation: 2,
      generationText: '2-test',
      bindings: {},
    })
    const port = gateway.port()
    assert.equal((await ask({ port, host: hostOf(7) })).status, 204)
    assert.equal((await ask({ port, host: 'app.test' })).status, 200, 'hosts that were there before go on')
  } finally {
    await gateway.stop()
  }
})
