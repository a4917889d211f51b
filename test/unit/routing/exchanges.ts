/** Plans and exchanges as short as tests want them. */
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { Exchange, type Epoch, type ListenerFacts } from '../../../src/exchange/exchange.ts'
import type { LocalReply } from '../../../src/exchange/local-reply.ts'
import type { PathMatch, RouteMatch, RoutePlan, VirtualHostPlan } from '../../../src/plan/route.ts'
import type { RoutingDeps } from '../../../src/routing/compiled-route.ts'
import { hostWithoutPort } from '../../../src/listeners/admission.ts'
import { meshPlan } from '../../support/mesh-plan.ts'
import { PathRouters } from '../../../src/routing/path-router.ts'

export interface RequestFacts {
  readonly method?: string
  /** With query. */
  readonly path?: string
  readonly authority?: string
  readonly scheme?: 'http' | 'https'
  readonly headers?: readonly string[]
  readonly envoyDebugHeaders?: boolean
  readonly req?: IncomingMessage
  readonly res?: ServerResponse
}

const listener: ListenerFacts = { port: 80, tls: false, routeTable: 'http.80', draining: false }

function epoch(envoyDebugHeaders: boolean): Epoch {
  return {
    generation: '1-test',
    generationHeader: null,
    mesh: meshPlan({ serverHeader: null, envoyDebugHeaders }),
  }
}

export function makeExchange(facts: RequestFacts = {}): Exchange {
  const req = facts.req ?? new IncomingMessage(new Socket())
  const res = facts.res ?? new ServerResponse(req)
  const exchange = new Exchange(req, res, listener, epoch(facts.envoyDebugHeaders ?? true), 0, 0)
  const path = facts.path ?? '/'
  const queryStart = path.indexOf('?')
  exchange.method = facts.method ?? 'GET'
  exchange.path = path
  exchange.pathname = queryStart === -1 ? path : path.slice(0, queryStart)
  exchange.query = queryStart === -1 ? '' : path.slice(queryStart)
  exchange.authority = facts.authority ?? 'example.com'
  exchange.host = hostWithoutPort(exchange.authority)
  exchange.scheme = facts.scheme ?? 'http'
  exchange.headers = [...(facts.headers ?? [])]
  return exchange
}

export const exact = (path: string, ignoreCase = false): PathMatch => ({ kind: 'exact', path, ignoreCase })
export const prefix = (text: string, ignoreCase = false): PathMatch => ({ kind: 'prefix', prefix: text, ignoreCase })
export const regex = (text: string): PathMatch => ({ kind: 'regex', regex: text })
export const anyPath: PathMatch = { kind: 'any' }

/** A route that forwards, called by its number. */
export function makeRoute(
  index: number,
  match: Partial<RouteMatch> = {},
  more: Partial<Omit<RoutePlan, 'match'>> = {},
): RoutePlan {
  return {
    name: String(index),
    origin: { kind: 'VirtualService', namespace: 'default', name: 'test', pointer: `/spec/http/${index}` },
    match: { path: anyPath, ...match },
    action: {
      kind: 'forward',
      destinations: [{ cluster: 'outbound|80||example', weight: 1 }],
      timeoutMs: null,
      retry: null,
    },
    ...more,
  }
}

export function makeVirtualHost(routes: readonly RoutePlan[], requireTls = false): VirtualHostPlan {
  return { host: 'example.com', requireTls, routes }
}

/** What became of requests. */
export interface Outcomes {
  readonly deps: RoutingDeps
  readonly forwarded: { readonly route: string; readonly exchange: Exchange }[]
  readonly replies: { readonly reply: LocalReply; readonly exchange: Exchange }[]
  readonly errors: unknown[]
  /** Resolves once something became of a request. */
  settled(): Promise<void>
}

export function recordOutcomes(overrides: Partial<RoutingDeps> = {}): Outcomes {
  let settle: () => void = () => {}
  const forwarded: Outcomes['forwarded'] = []
  const replies: Outcomes['replies'] = []
  const errors: unknown[] = []
  return {
    forwarded,
    replies,
    errors,
    settled: () => new Promise((resolve) => (settle = resolve)),
    deps: {
      routers: new PathRouters(),
      compileForward: (route) => ({
        select: () => {},
        forward: (exchange) => {
          forwarded.push({ route: route.name, exchange })
          settle()
        },
      }),
      reply: (exchange, reply) => {
        replies.push({ reply, exchange })
        settle()
      },
      onError: (error) => void errors.push(error),
      random: () => 0,
      setTimeout,
      compileRateLimits: () => () => undefined,
      ...overrides,
    },
  }
}
