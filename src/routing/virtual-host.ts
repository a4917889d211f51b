/**
 * The routes of one host as a Fastify app. The app is built when the host is first asked for and never listens: the
 * listener hands requests over, Fastify's router finds the entry that a path ends at, and the entry's candidates are
 * tried in the order of the rules.
 *
 * Two things keep that router exact and small.
 * - It is asked for keys (path-key.ts) and not for paths, because it would give `:`, `*`, `;` and percent sequences in
 *   them meanings that Istio's paths do not have.
 * - It is always asked for GET, because methods are conditions of rules here. Otherwise each route would have to be
 *   there once for each of 35 methods, and Fastify would look at the body of those that have one.
 * So a request's own method and URL are set aside while the router looks, which it does at once, and are back before
 * anything else sees the request.
 */
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { Exchange } from '../exchange/exchange.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import type { VirtualHostPlan } from '../plan/route.ts'
import { redirectToHttps } from './actions/redirect.ts'
import { buildCandidates, type Candidate, candidateRoute, type CandidateRule } from './candidates.ts'
import { compileRoute, type CompiledRoute, type RoutingDeps } from './compiled-route.ts'
import { compileConditions, compilePath, type RequestTest } from './match.ts'
import { pathKey } from './path-key.ts'
import { createQueryReader } from './query-parameters.ts'
import { failInternally, isGone, serveRoute } from './serve-route.ts'

/** Where the exchange of a request is found on the request. */
export const kExchange: unique symbol = Symbol('sluice.exchange')

interface RoutedRequest extends IncomingMessage {
  [kExchange]?: Exchange
}

const ROUTE_NOT_FOUND: LocalReply = { status: 404, flag: 'NR', details: 'route_not_found' }

interface Router {
  readonly app: FastifyInstance
  /** Candidates of a path that does not begin with `/`, which no entry is for. */
  readonly everything: readonly Candidate[]
  /** What a candidate asks of a request, by candidate; null: nothing. */
  readonly tests: readonly (RequestTest | null)[]
  /** Longer than any entry, in characters of the path: what comes after cannot change where a path ends. */
  readonly keyedLength: number
}

export class VirtualHost {
  readonly plan: VirtualHostPlan
  readonly #deps: RoutingDeps
  /** By index in the plan; made when a request first takes the route. */
  readonly #routes: (CompiledRoute | undefined)[] = []
  #router: Router | null = null
  #building: Promise<Router> | null = null
  /** Method and URL of the request that the router is looking at, if it is looking. */
  #method: string | undefined
  #url: string | undefined

  constructor(plan: VirtualHostPlan, deps: RoutingDeps) {
    this.plan = plan
    this.#deps = deps
  }

  /**
   * Serves a request. It never throws: what fails is answered 500 and reported. Only the first requests wait, all for
   * one promise, until the app is built.
   */
  handle(exchange: Exchange): void {
    // Envoy answers here before it looks at a route, so none of a route's filters and headers take part.
    if (this.plan.requireTls && exchange.scheme !== 'https') {
      this.#deps.reply(exchange, redirectToHttps(exchange))
      return
    }
    if (this.#router !== null) {
      this.#enter(this.#router, exchange)
      return
    }
    this.#building ??= this.#build()
    this.#building.then(
      (router) => {
        if (!isGone(exchange)) this.#enter(router, exchange)
      },
      (error: unknown) => failInternally(exchange, error, this.#deps),
    )
  }

  /**
   * For symmetry with what owns sockets: the app owns none and no timer, and requests that are in it finish in it, so
   * letting go of it is enough.
   */
  close(): void {
    this.#building = null
    this.#router = null
  }

  async #build(): Promise<Router> {
    const query = createQueryReader()
    const conditions = this.plan.routes.map((route) => compileConditions(route.match, query))
    const rules = this.plan.routes.map(({ match: { path } }, index): CandidateRule => ({
      path,
      matchesPath: compilePath(path),
      conditional: conditions[index] !== null,
    }))
    const { entries, everything } = buildCandidates(rules)
    const app = createApp()
    for (const { kind, path, candidates } of entries) {
      // In the router `P*` takes P too, and gives way to a longer entry and to an exact `P`.
      app.get(kind === 'exact' ? pathKey(path) : `${pathKey(path)}*`, (request, reply) => {
        this.#take(router, request, reply, candidates)
      })
    }
    await app.ready()
    const router: Router = {
      app,
      everything,
      tests: rules.flatMap(({ matchesPath }, index) => {
        const conditionsOfRule = conditions[index]!
        return [conditionsOfRule, withPath(matchesPath, conditionsOfRule)]
      }),
      keyedLength: Math.max(...entries.map(({ path }) => path.length)) + 1,
    }
    this.#router = router
    return router
  }

  #enter(router: Router, exchange: Exchange): void {
    const { pathname } = exchange
    if (!pathname.startsWith('/')) {
      this.#serve(router, exchange, router.everything)
      return
    }
    const req: RoutedRequest = exchange.req
    req[kExchange] = exchange
    this.#method = req.method
    this.#url = req.url
    req.method = 'GET'
    req.url = pathKey(pathname.length > router.keyedLength ? pathname.slice(0, router.keyedLength) : pathname)
    router.app.routing(req, exchange.res)
  }

  /** Runs within `#enter`, whatever entry was found. */
  #take(router: Router, request: FastifyRequest, reply: FastifyReply, candidates: readonly Candidate[]): void {
    const req: RoutedRequest = request.raw
    req.method = this.#method
    req.url = this.#url
    reply.hijack()
    this.#serve(router, req[kExchange]!, candidates)
  }

  #serve(router: Router, exchange: Exchange, candidates: readonly Candidate[]): void {
    const { tests } = router
    try {
      for (const candidate of candidates) {
        const test = tests[candidate]!
        if (test !== null && !test(exchange)) continue
        serveRoute(this.#route(candidateRoute(candidate)), exchange, this.#deps)
        return
      }
      this.#deps.reply(exchange, ROUTE_NOT_FOUND)
    } catch (error) {
      failInternally(exchange, error, this.#deps)
    }
  }

  #route(index: number): CompiledRoute {
    return (this.#routes[index] ??= compileRoute(this.plan.routes[index]!, this.#deps))
  }
}

/** An app that never answers by itself: no logging, no ids, no body, no HEAD routes, nothing on closing. */
function createApp(): FastifyInstance {
  const app = Fastify({
    logger: false,
    genReqId: () => '',
    exposeHeadRoutes: false,
    return503OnClosing: false,
    routerOptions: {
      caseSensitive: true,
      ignoreTrailingSlash: false,
      ignoreDuplicateSlashes: false,
      // Bounds named parameters, of which there are none; the listener bounds a path.
      maxParamLength: Number.MAX_SAFE_INTEGER,
      querystringParser: () => ({}),
    },
  })
  app.removeAllContentTypeParsers()
  return app
}

function withPath(matchesPath: (pathname: string) => boolean, conditions: RequestTest | null): RequestTest {
  if (conditions === null) return (exchange) => matchesPath(exchange.pathname)
  return (exchange) => matchesPath(exchange.pathname) && conditions(exchange)
}
