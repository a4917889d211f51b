/** The resources of the benchmark: one Gateway, some services, and as many VirtualServices as asked for. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What a changed VirtualService answers with, so that it can be told which version of it served a request. */
export const VERSION_HEADER = 'x-version'

/** A path that the rule with {@link VERSION_HEADER} takes. */
export const VERSIONED_PATH = '/api/items'

/** One path for each of the rules: exact, prefix with a header (not sent, so the next one takes it), regex, rest. */
export const PATHS = ['/checkout', VERSIONED_PATH, '/items/4711/reviews', '/'] as const

/** Services that the VirtualServices share; all of them lead to the same upstream. */
const SERVICES = 20

/** How the VirtualServices are laid out on disk. */
export type Layout = 'files' | 'one-file'

export function hostOf(index: number): string {
  return `app-${String(index).padStart(5, '0')}.scale.test`
}

/**
 * Writes everything into an empty folder.
 *
 * @param count VirtualServices, each for a host of its own and with five rules.
 */
export function writeResources(folder: string, count: number, layout: Layout, upstreamPort: number): void {
  writeFileSync(join(folder, 'gateway.yaml'), gateway())
  const services = Array.from({ length: SERVICES }, (_, index) => serviceEntry(index, upstreamPort))
  writeFileSync(join(folder, 'services.yaml'), services.join('---\n'))
  const apps = join(folder, 'apps')
  mkdirSync(apps)
  const all = Array.from({ length: count }, (_, index) => virtualService(index, 0))
  if (layout === 'one-file') writeFileSync(join(apps, 'all.yaml'), all.join('---\n'))
  else for (const [index, text] of all.entries()) writeFileSync(fileOf(folder, index), text)
}

/** Another version of one VirtualService, as an editor or a deployment tool puts it there: beside, then renamed. */
export function replaceVirtualService(folder: string, index: number, version: number): void {
  const beside = join(folder, 'apps', `.${index}.tmp`)
  writeFileSync(beside, virtualService(index, version))
  renameSync(beside, fileOf(folder, index))
}

function fileOf(folder: string, index: number): string {
  return join(folder, 'apps', `app-${String(index).padStart(5, '0')}.yaml`)
}

function gateway(): string {
  return `apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: scale
  namespace: default
spec:
  servers:
    - port: { number: 80, name: http, protocol: HTTP }
      hosts: ['*']
`
}

function serviceHost(index: number): string {
  return `service-${index % SERVICES}.scale.internal`
}

function serviceEntry(index: number, upstreamPort: number): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: service-${index}
  namespace: default
spec:
  hosts: [${serviceHost(index)}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
    - { number: 80, name: http, protocol: HTTP }
  endpoints:
    - { address: 127.0.0.1, ports: { http: ${upstreamPort} } }
`
}

/** Laid out as people and Helm write them: block style, about 1.4 KB. */
export function virtualService(index: number, version: number): string {
  const destination = (offset: number): string => `destination:
            host: ${serviceHost(index + offset)}
            port:
              number: 80`
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: app-${String(index).padStart(5, '0')}
  namespace: default
  labels:
    app.kubernetes.io/name: app
    app.kubernetes.io/managed-by: scale
spec:
  hosts:
    - ${hostOf(index)}
  gateways:
    - default/scale
  http:
    - name: checkout
      match:
        - uri:
            exact: /checkout
      timeout: 5s
      route:
        - ${destination(0)}
    - name: canary
      match:
        - uri:
            prefix: /api/
          headers:
            x-canary:
              exact: always
      route:
        - ${destination(1)}
    - name: api
      match:
        - uri:
            prefix: /api/
      retries:
        attempts: 2
        retryOn: connect-failure,refused-stream
      headers:
        response:
          set:
            ${VERSION_HEADER}: "${version}"
      route:
        - ${destination(2)}
    - name: reviews
      match:
        - uri:
            regex: /items/[0-9]+/reviews
        - uri:
            regex: /items/[0-9]+/ratings
          method:
            exact: GET
      rewrite:
        uri: /reviews
      route:
        - ${destination(3)}
    - name: default
      route:
        - ${destination(4)}
          weight: 90
        - ${destination(5)}
          weight: 10
`
}
