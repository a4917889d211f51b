/**
 * The paths of a host's rules as routes of a Fastify app: for a path it gives the candidates, the rules that could
 * match it, in their order. It knows nothing of a host but its paths, so hosts whose rules have the same paths share
 * one: most of a large configuration's do, and every app less is 130 KB less to hold and to keep in the processor's
 * caches.
 *
 * The app never listens: a request is handed over, and Fastify's router finds the entry that its path ends at. Two
 * things keep that router exact and small.
 * - It is asked for keys (path-key.ts) and not for paths, because it would give `:`, `*`, `;` and percent sequences in
 *   them meanings that Istio's paths do not have.
 * - It is always asked for GET, because methods are conditions of rules here. Otherwise each route would have to be
 *   there once for each of 35 methods, and Fastify would look at the body of those that have one.
 * So a request's own method and URL are set aside while the router looks, which it does at once, and are back before
 * anything else sees the request.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Exchange } from '../exchange/exchange.ts'
import type { TextTest } from '../filters/string-match.ts'
import type { PathMatch } from '../plan/route.ts'
import { buildCandidates, type Candidate } from './candidates.ts'
import { compilePath } from './match.ts'
import { pathKey } from './path-key.ts'

/** What of a rule decides where its candidates are. */
export interface PathRule {
  readonly path: PathMatch
  /** The rule asks for more than its path. */
  readonly conditional: boolean
}

export class PathRouter {
  readonly #app: FastifyInstance
  /** Of a path that does not begin with `/`, which no entry is for. */
  readonly #everything: readonly Candidate[]
  /** Longer than any entry, in characters of the path: what comes after cannot change where a path ends. */
  readonly #keyedLength: number
  /** The compiled path of each rule. */
  readonly pathTests: readonly TextTest[]
  /** What the app found for the request that it is looking at. */
  #found: readonly Candidate[] | null = null

  private constructor(rules: readonly PathRule[]) {
    this.pathTests = rules.map(({ path }) => compilePath(path))
    const { entries, everything } = buildCandidates(
      rules.map((rule, index) => ({ ...rule, matchesPath: this.pathTests[index]! })),
    )
    this.#everything = everything
    this.#keyedLength = Math.max(...entries.map(({ path }) => path.length)) + 1
    this.#app = createApp()
    for (const { kind, path, candidates } of entries) {
      // In the router `P*` takes P too, and gives way to a longer entry and to an exact `P`.
      this.#app.get(kind === 'exact' ? pathKey(path) : `${pathKey(path)}*`, (_, reply) => {
        reply.hijack()
        this.#found = candidates
      })
    }
  }

  static async create(rules: readonly PathRule[]): Promise<PathRouter> {
    const router = new PathRouter(rules)
    await router.#app.ready()
    return router
  }

  /** @throws Error where the app answered by itself, which it never should. */
  candidates({ pathname, req, res }: Exchange): readonly Candidate[] {
    if (!pathname.startsWith('/')) return this.#everything
    const { method, url } = req
    req.method = 'GET'
    req.url = pathKey(pathname.length > this.#keyedLength ? pathname.slice(0, this.#keyedLength) : pathname)
    // All that Fastify looks at before the entry is there, whatever carries the request.
    this.#app.routing(req as IncomingMessage, res as ServerResponse)
    req.method = method
    req.url = url
    const found = this.#found
    this.#found = null
    if (found === null) throw new Error(`no entry took the path ${pathname}`)
    return found
  }
}

/** The routers in use, by the paths that they are for. One that no host holds any more is forgotten. */
export class PathRouters {
  readonly #routers = new Map<string, WeakRef<Promise<PathRouter>>>()
  readonly #forgotten = new FinalizationRegistry<string>((key) => {
    // Another may have taken its place meanwhile.
    if (this.#routers.get(key)?.deref() === undefined) this.#routers.delete(key)
  })

  /** Routers that are held. */
  get size(): number {
    return this.#routers.size
  }

  /** The router is kept for others as long as the promise is held. */
  get(rules: readonly PathRule[]): Promise<PathRouter> {
    const key = JSON.stringify(rules.map(({ path, conditional }) => [path, conditional]))
    const known = this.#routers.get(key)?.deref()
    if (known !== undefined) return known
    const made = PathRouter.create(rules)
    this.#routers.set(key, new WeakRef(made))
    this.#forgotten.register(made, key)
    return made
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
