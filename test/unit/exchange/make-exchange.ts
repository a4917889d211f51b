/** Exchanges as they are when they end, without a network. */
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { Exchange, type UpstreamFacts } from '../../../src/exchange/exchange.ts'
import type { RoutePlan } from '../../../src/plan/route.ts'
import { meshPlan } from '../../support/mesh-plan.ts'

type Writable = { -readonly [Key in keyof Exchange]?: Exchange[Key] }

export interface ExchangeFacts extends Omit<Writable, 'upstream' | 'route'> {
  readonly upstream?: Partial<UpstreamFacts>
  readonly route?: string
  readonly httpVersion?: string
  readonly tls?: boolean
}

const MESH = meshPlan()

/** A GET of `/` that an upstream answered with 200, with what `facts` say differently. */
export function makeExchange(facts: ExchangeFacts = {}): Exchange {
  const { upstream, route, httpVersion = '1.1', tls = false, startedAt, ...fields } = facts
  const req = new IncomingMessage(new Socket())
  req.httpVersion = httpVersion
  const exchange = new Exchange(
    req,
    new ServerResponse(req),
    { port: tls ? 443 : 80, tls, routeTable: tls ? 'https.443.https' : 'http.80', draining: false },
    { mesh: MESH, generation: '12-9f86d081', generationHeader: null },
    startedAt ?? Date.UTC(2026, 0, 2, 3, 4, 5, 678),
    0,
  )
  const answered = {
    method: 'GET',
    path: '/',
    pathname: '/',
    authority: 'app.test',
    host: 'app.test',
    status: 200,
    details: 'via_upstream',
    clientAddress: '192.0.2.7:4444',
    peerAddress: '192.0.2.7:4444',
    responseHeaders: [],
  }
  Object.assign(exchange.upstream, upstream)
  return Object.assign(exchange, answered, fields, { route: route === undefined ? null : makeRoute(route) })
}

function makeRoute(name: string): RoutePlan {
  return {
    name,
    origin: { kind: 'VirtualService', namespace: 'default', name: 'app' },
    match: { path: { kind: 'any' } },
    action: { kind: 'direct-response', status: 200 },
  }
}
