/**
 * The routes of one host: a router gives the candidates of a path, and they are tried in the order of the rules. What
 * that needs is made when the host is first asked for.
 */
import type { Exchange } from '../exchange/exchange.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import type { TextTest } from '../filters/string-match.ts'
import type { RoutePlan, VirtualHostPlan } from '../plan/route.ts'
import { redirectToHttps } from './actions/redirect.ts'
import { candidateRoute } from './candidates.ts'
import { compileRoute, type CompiledRoute, type RoutingDeps } from './compiled-route.ts'
import { compileConditions, type RequestTest } from './match.ts'
import type { PathRouter } from './path-router.ts'
import { createQueryReader } from './query-parameters.ts'
import { failInternally, isGone, serveRoute } from './serve-route.ts'

const ROUTE_NOT_FOUND: LocalReply = { status: 404, flag: 'NR', details: 'route_not_found' }

interface Matcher {
  readonly router: PathRouter
  /** What a candidate asks of a request, by candidate; null: nothing. */
  readonly tests: readonly (RequestTest | null)[]
}

export class VirtualHost {
  readonly plan: VirtualHostPlan
  readonly #deps: RoutingDeps
  /** By index in the plan; made when a request first takes the route. */
  readonly #routes: (CompiledRoute | undefined)[] = []
  #matcher: Matcher | null = null
  #building: Promise<Matcher> | null = null
  /** Held, because the router is shared only as long as somebody does. */
  #router: Promise<PathRouter> | null = null

  constructor(plan: VirtualHostPlan, deps: RoutingDeps) {
    this.plan = plan
    this.#deps = deps
  }

  /**
   * Serves a request. It never throws: what fails is answered 500 and reported. Only the first requests wait, all for
   * one promise, until the router is built.
   */
  handle(exchange: Exchange): void {
    // Envoy answers here before it looks at a route, so none of a route's filters and headers take part.
    if (this.plan.requireTls && exchange.scheme !== 'https') {
      this.#deps.reply(exchange, redirectToHttps(exchange))
      return
    }
    if (this.#matcher !== null) {
      this.#serve(this.#matcher, exchange)
      return
    }
    this.#building ??= this.#build()
    this.#building.then(
      (matcher) => {
        if (!isGone(exchange)) this.#serve(matcher, exchange)
      },
      (error: unknown) => failInternally(exchange, error, this.#deps),
    )
  }

  /**
   * The route that would take the request as it is now, without serving it; null: none would, or it is redirected to
   * https before any route is looked at.
   */
  locate(exchange: Exchange): RoutePlan | null | Promise<RoutePlan | null> {
    if (this.plan.requireTls && exchange.scheme !== 'https') return null
    if (this.#matcher !== null) return this.#locate(this.#matcher, exchange)
    this.#building ??= this.#build()
    return this.#building.then((matcher) => this.#locate(matcher, exchange))
  }

  async #build(): Promise<Matcher> {
    const query = createQueryReader()
    const { routes } = this.plan
    const conditions = routes.map(({ match }) => compileConditions(match, query))
    this.#router = this.#deps.routers.get(
      routes.map(({ match: { path } }, index) => ({ path, conditional: conditions[index] !== null })),
    )
    const router = await this.#router
    const tests = conditions.flatMap((test, index) => [test, withPath(router.pathTests[index]!, test)])
    return (this.#matcher = { router, tests })
  }

  #serve(matcher: Matcher, exchange: Exchange): void {
    try {
      const index = find(matcher, exchange)
      if (index === -1) this.#deps.reply(exchange, ROUTE_NOT_FOUND)
      else serveRoute(this.#route(index), exchange, this.#deps)
    } catch (error) {
      failInternally(exchange, error, this.#deps)
    }
  }

  #locate(matcher: Matcher, exchange: Exchange): RoutePlan | null {
    const index = find(matcher, exchange)
    return index === -1 ? null : this.plan.routes[index]!
  }

  #route(index: number): CompiledRoute {
    return (this.#routes[index] ??= compileRoute(this.plan.routes[index]!, this.#deps))
  }
}

/** The index of the first rule that matches, or -1. */
function find({ router, tests }: Matcher, exchange: Exchange): number {
  for (const candidate of router.candidates(exchange)) {
    const test = tests[candidate]!
    if (test === null || test(exchange)) return candidateRoute(candidate)
  }
  return -1
}

function withPath(matchesPath: TextTest, conditions: RequestTest | null): RequestTest {
  if (conditions === null) return (exchange) => matchesPath(exchange.pathname)
  return (exchange) => matchesPath(exchange.pathname) && conditions(exchange)
}
