/** A request and what a virtual host needs to answer it, without sockets. */
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { Exchange } from '../../src/exchange/exchange.ts'
import type { RoutingDeps } from '../../src/routing/compiled-route.ts'
import { meshPlan } from '../../test/support/mesh-plan.ts'
import { PathRouters } from '../../src/routing/path-router.ts'

const mesh = meshPlan()

export function exchangeFor(path: string): Exchange {
  const req = new IncomingMessage(new Socket())
  req.method = 'GET'
  req.url = path
  const listener = { port: 80, tls: false, routeTable: 'http.80', draining: false }
  const epoch = { mesh, generation: '1', generationHeader: null }
  const exchange = new Exchange(req, new ServerResponse(req), listener, epoch, 0, 0)
  exchange.method = 'GET'
  exchange.path = path
  exchange.pathname = path
  return exchange
}

/** @param onReply Called in place of an answer; nothing is forwarded. */
export function routingDeps(onReply: () => void): RoutingDeps {
  return {
    routers: new PathRouters(),
    random: Math.random,
    setTimeout,
    compileRateLimits: () => () => undefined,
    compileForward: () => ({ select: () => {}, forward: () => {} }),
    reply: onReply,
    onError: (error) => {
      throw error
    },
  }
}
