/**
 * The router of a virtual host picks the route that the plain ordered list picks, whatever the rules and whatever the
 * path: once on the table of candidates alone, with many paths, and once through Fastify and real requests.
 */
import assert from 'node:assert/strict'
import { Agent, createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import type { NamedMatch, PathMatch, RouteMatch, RoutePlan } from '../../src/plan/route.ts'
import {
  buildCandidates,
  candidateNeedsPathTest,
  candidateRoute,
  type CandidateTable,
} from '../../src/routing/candidates.ts'
import { compileLinear } from '../../src/routing/linear.ts'
import { compileConditions, compilePath } from '../../src/routing/match.ts'
import { VirtualHost } from '../../src/routing/virtual-host.ts'
import {
  makeExchange,
  makeRoute,
  makeVirtualHost,
  recordOutcomes,
  type RequestFacts,
} from '../unit/routing/exchanges.ts'

/** Few and awkward, so that rules and paths meet often. */
const PATH_PARTS = ['/', '//', '%', '%2F', '%2f', '*', ':', ';', '~', '~2', '.', '-', 'a', 'A', 'b', '%C3%A9', '%c3']
const REGEX_TEXT = ['/', '//', 'a', 'A', 'b', '%2F', ':', ';', '~', '-', '\\.', '\\*', '%']
const REGEX_SYNTAX = [
  '.',
  '.*',
  '.+',
  '[^/]+',
  '[^/]*',
  '(a|A)',
  '(/a|/b)?',
  'a?',
  'a+',
  'a*',
  '/{2}',
  '\\w',
  '[]|]',
  '|',
]
const REGEX_PARTS = [...REGEX_TEXT, ...REGEX_SYNTAX, '(?i)', '^']

const pathText = fc.array(fc.constantFrom(...PATH_PARTS), { maxLength: 5 }).map((parts) => `/${parts.join('')}`)
const looseText = fc.oneof(
  { weight: 12, arbitrary: pathText },
  { weight: 1, arbitrary: fc.constantFrom('', '*', 'a', '%2F', '/\u00e9', '/\u212a') },
)
const regexText = fc
  .array(fc.constantFrom(...REGEX_PARTS), { maxLength: 5 })
  .chain((parts) => fc.constantFrom(`/${parts.join('')}`, parts.join('')))

const pathMatch: fc.Arbitrary<PathMatch> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('exact'), path: looseText, ignoreCase: fc.constant(false) }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('prefix'), prefix: looseText, ignoreCase: fc.constant(false) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('exact'), path: looseText, ignoreCase: fc.constant(true) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('prefix'), prefix: looseText, ignoreCase: fc.constant(true) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('regex'), regex: regexText }) },
  { weight: 1, arbitrary: fc.constant<PathMatch>({ kind: 'any' }) },
)

const present = (name: string, invert: boolean): NamedMatch[] => [{ name, match: { kind: 'present' }, invert }]

const conditions: fc.Arbitrary<Partial<RouteMatch>> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  {
    weight: 2,
    arbitrary: fc.constantFrom<Partial<RouteMatch>>(
      { method: { kind: 'exact', value: 'POST' } },
      { headers: present('x-a', false) },
      { headers: present('x-a', true) },
      { queryParams: present('q', false) },
      { method: { kind: 'exact', value: 'POST' }, queryParams: present('q', false) },
    ),
  },
)

const routeMatch: fc.Arbitrary<RouteMatch> = fc.tuple(pathMatch, conditions).map(([path, more]) => ({ path, ...more }))

const routes: fc.Arbitrary<RoutePlan[]> = fc
  .array(routeMatch, { maxLength: 12 })
  .map((matches) => matches.map((match, index) => makeRoute(index, match)))

const requestFacts = fc.record({
  path: fc.tuple(pathText, fc.constantFrom('', '', '?', '?q', '?a=/&q=1')).map((parts) => parts.join('')),
  method: fc.constantFrom('GET', 'POST', 'OPTIONS'),
  headers: fc.constantFrom([], ['x-a', '1']),
})

/** Paths of the rules themselves and their neighbours are the ones that tell two routers apart. */
function requestsFor(plans: readonly RoutePlan[]): fc.Arbitrary<RequestFacts[]> {
  const own = plans.flatMap(({ match: { path } }) => {
    const text = path.kind === 'exact' ? path.path : path.kind === 'prefix' ? path.prefix : '/'
    return text.startsWith('/') && /^[\x21-\x7e]*$/.test(text) ? [text] : []
  })
  const near = fc
    .tuple(fc.constantFrom('/', ...own), fc.constantFrom('', '', '/', 'a', '%2F', '*'), requestFacts)
    .map(([text, more, facts]) => ({ ...facts, path: text + more }))
  return fc.array(fc.oneof(requestFacts, near), { minLength: 1, maxLength: 8 })
}

const cases = routes.chain((plans) => fc.tuple(fc.constant(plans), requestsFor(plans)))

/** The entry that a path ends at, found the slow way. */
function candidatesOf({ entries, everything }: CandidateTable, pathname: string): readonly number[] {
  if (!pathname.startsWith('/')) return everything
  const exact = entries.find(({ kind, path }) => kind === 'exact' && path === pathname)
  if (exact !== undefined) return exact.candidates
  const prefixes = entries.filter(({ kind, path }) => kind === 'prefix' && pathname.startsWith(path))
  return prefixes.reduce((longest, entry) => (entry.path.length > longest.path.length ? entry : longest)).candidates
}

test('the candidates of the entry that a path ends at hold the route that the plain list picks', () => {
  fc.assert(
    fc.property(
      cases,
      fc.option(fc.integer({ min: 0, max: 100 }), { nil: undefined }),
      ([plans, requests], maxSteps) => {
        const rules = plans.map(({ match }) => ({
          path: match.path,
          matchesPath: compilePath(match.path),
          test: compileConditions(match),
          conditional: compileConditions(match) !== null,
        }))
        const table = buildCandidates(rules, maxSteps)
        const linear = compileLinear(makeVirtualHost(plans))
        for (const facts of [...requests, { path: '*' }, { path: '' }]) {
          const exchange = makeExchange(facts)
          const found = candidatesOf(table, exchange.pathname).find((candidate) => {
            const { matchesPath, test: condition } = rules[candidateRoute(candidate)]!
            if (candidateNeedsPathTest(candidate) && !matchesPath(exchange.pathname)) return false
            return condition === null || condition(exchange)
          })
          assert.equal(found === undefined ? -1 : candidateRoute(found), linear(exchange), JSON.stringify(facts))
        }
      },
    ),
    { numRuns: 1500 },
  )
})

const agent = new Agent({ keepAlive: true, maxSockets: 4 })
let server: Server
let virtualHost: VirtualHost
let linear: (exchange: ReturnType<typeof makeExchange>) => number

before(async () => {
  server = createServer((req, res) => {
    const headers = req.headers['x-a'] === undefined ? [] : ['x-a', String(req.headers['x-a'])]
    const exchange = makeExchange({ method: req.method ?? '', path: req.url ?? '', headers, req, res })
    res.setHeader('x-linear', linear(exchange))
    virtualHost.handle(exchange)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})

after(() => {
  agent.destroy()
  server.close()
})

test('through Fastify and real requests it is the same route', async () => {
  await fc.assert(
    fc.asyncProperty(cases, async ([plans, requests]) => {
      const plan = makeVirtualHost(plans)
      linear = compileLinear(plan)
      virtualHost = new VirtualHost(plan, {
        ...recordOutcomes().deps,
        compileForward: (route) => ({ select: () => {}, forward: (exchange) => void exchange.res.end(route.name) }),
        reply: (exchange, reply) => void exchange.res.end(reply.details === 'route_not_found' ? '-1' : reply.details),
        onError: (error) => assert.fail(String(error)),
      })
      const answers = await Promise.all(requests.map(ask))
      for (const [index, { taken, expected }] of answers.entries()) {
        assert.equal(taken, expected, JSON.stringify(requests[index]))
      }
    }),
    { numRuns: 150 },
  )
})

function ask({ method, path, headers }: RequestFacts): Promise<{ taken: string; expected: string }> {
  const { port } = server.address() as AddressInfo
  const options = { host: '127.0.0.1', port, agent, method: method ?? 'GET', path: path ?? '/' }
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...options, headers: headers?.length === 0 ? {} : { 'x-a': '1' } })
    outgoing.on('error', reject)
    outgoing.on('response', (response) => {
      const expected = String(response.headers['x-linear'])
      let taken = ''
      response.setEncoding('latin1')
      response.on('data', (text: string) => (taken += text))
      response.on('end', () => resolve({ taken, expected }))
    })
    outgoing.end()
  })
}
