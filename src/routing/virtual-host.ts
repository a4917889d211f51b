/**
 * The routes of one host: a router gives the candidates of a path, and they are tried in the order of the rules. What
 * that needs is made when the host is first asked for.
 */
import type { Exchange } from '../exchange/exchange.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import type { TextTest } from '../filters/string-match.ts'
import type { VirtualHostPlan } from '../plan/route.ts'
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

  #serve({ router, tests }: Matcher, exchange: Exchange): void {
    try {
      for (const candidate of router.candidates(exchange)) {
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

function withPath(matchesPath: TextTest, conditions: RequestTest | null): RequestTest {
  if (conditions === null) return (exchange) => matchesPath(exchange.pathname)
  return (exchange) => matchesPath(exchange.pathname) && conditions(exchange)
}
