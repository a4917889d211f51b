/**
 * The proxies that are compared, each with the least that makes it a reverse proxy with keep-alive on both sides, one
 * process (or thread) doing the work, and no access log unless its name says so. Standard output is a file for all.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Tool } from '../../test/support/tools.ts'
import { type Launch, NGINX, nginxLaunch } from '../lib/nginx.ts'

/** What a peer is told. */
export interface Place {
  /** A folder of its own, empty. */
  readonly dir: string
  readonly port: number
  readonly upstreamPort: number
  readonly host: string
  /** Where the program is; for peers that run on Node, this Node. */
  readonly program: string
  /** The root of this repository. */
  readonly root: string
}

export interface Peer {
  readonly name: string
  /** The program it needs; absent for what runs on the Node that runs this. */
  readonly tool?: Tool
  /** How it tells its version. */
  readonly versionArgs: readonly string[]
  /** Writes its configuration into `dir` and says how to start it. */
  readonly prepare: (place: Place) => Launch
}

/** Idle connections to the upstream that a peer may keep: more than any number of connections that is measured. */
const IDLE_CONNECTIONS = 512

const HAPROXY: Tool = { command: 'haproxy', debianPackage: 'haproxy' }
const CADDY: Tool = { command: 'caddy', debianPackage: 'caddy' }

export const PEERS: readonly Peer[] = [
  { name: 'nginx', tool: NGINX, versionArgs: ['-v'], prepare: (place) => nginx(place, 'off') },
  { name: 'nginx+log', tool: NGINX, versionArgs: ['-v'], prepare: (place) => nginx(place, '/dev/stdout') },
  { name: 'haproxy', tool: HAPROXY, versionArgs: ['-v'], prepare: haproxy },
  { name: 'caddy', tool: CADDY, versionArgs: ['version'], prepare: caddy },
  { name: 'node-http', versionArgs: ['--version'], prepare: (place) => nodeServer(place, 'node-http.ts') },
  {
    name: 'fastify-http-proxy',
    versionArgs: ['--version'],
    prepare: (place) => nodeServer(place, 'fastify-http-proxy.ts'),
  },
  { name: 'sluice', versionArgs: ['--version'], prepare: (place) => sluice(place, {}) },
  {
    name: 'sluice+log',
    versionArgs: ['--version'],
    prepare: (place) => sluice(place, { accessLogFile: '/dev/stdout' }),
  },
]

/** Whether this peer is the gateway of this repository. */
export const isOurs = (peer: string): boolean => peer.startsWith('sluice')

function nginx(place: Place, accessLog: string): Launch {
  return nginxLaunch(
    place,
    `  access_log ${accessLog};
  upstream bench {
    server 127.0.0.1:${place.upstreamPort};
    keepalive ${IDLE_CONNECTIONS};
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${place.port};
    server_name ${place.host};
    location / {
      proxy_pass http://bench;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Request-Id $request_id;
    }
  }`,
  )
}

function haproxy({ dir, port, upstreamPort, host, program }: Place): Launch {
  writeFileSync(
    join(dir, 'haproxy.cfg'),
    `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse always
frontend bench
  bind 127.0.0.1:${port}
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  use_backend upstream if { hdr(host) -i ${host} }
backend upstream
  server upstream 127.0.0.1:${upstreamPort} pool-max-conn ${IDLE_CONNECTIONS}
`,
  )
  return { command: [program, '-db', '-f', join(dir, 'haproxy.cfg')] }
}

function caddy({ dir, port, upstreamPort, host, program }: Place): Launch {
  writeFileSync(
    join(dir, 'Caddyfile'),
    `{
  admin off
  auto_https off
}
http://${host}:${port} {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:${upstreamPort} {
    transport http {
      keepalive_idle_conns ${IDLE_CONNECTIONS}
      keepalive_idle_conns_per_host ${IDLE_CONNECTIONS}
    }
  }
}
`,
  )
  return {
    command: [program, 'run', '--adapter', 'caddyfile', '--config', join(dir, 'Caddyfile')],
    env: { GOMAXPROCS: '1', XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir },
  }
}

function nodeServer({ port, upstreamPort, program, root }: Place, file: string): Launch {
  const script = join(root, 'loadtest', 'peers', 'servers', file)
  return { command: [program, script, String(port), String(upstreamPort)], env: { NODE_ENV: 'production' } }
}

/** Metrics are always on; `mesh` is Istio's MeshConfig, where the access log is switched on. */
function sluice(
  { dir, port, upstreamPort, host, program, root }: Place,
  mesh: Readonly<Record<string, string>>,
): Launch {
  const config = join(dir, 'config')
  mkdirSync(config)
  writeFileSync(join(config, 'bench.yaml'), sluiceResources(host, upstreamPort))
  writeFileSync(join(dir, 'sluice.yaml'), `${JSON.stringify({ mesh }, null, 2)}\n`) // JSON is YAML
  const settings = ['--config', config, '--settings', join(dir, 'sluice.yaml'), '--state', join(dir, 'state')]
  const ports = ['--listen', `80=127.0.0.1:${port}`, '--admin', '127.0.0.1:0', '--status', '127.0.0.1:0']
  return {
    command: [program, join(root, 'src', 'cli', 'sluice.js'), 'run', ...settings, ...ports, '--workers', '1'],
    env: { NODE_ENV: 'production' },
  }
}

function sluiceResources(host: string, upstreamPort: number): string {
  return `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: bench }
spec:
  servers:
    - port: { number: 80, name: http, protocol: HTTP }
      hosts: ['${host}']
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: upstream }
spec:
  hosts: [upstream.${host}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
    - { number: 80, name: http, protocol: HTTP }
  endpoints:
    - { address: 127.0.0.1, ports: { http: ${upstreamPort} } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: bench }
spec:
  hosts: ['${host}']
  gateways: [bench]
  http:
    - route:
        - destination: { host: upstream.${host}, port: { number: 80 } }
`
}
