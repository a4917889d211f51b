/** What `sluice demo` says: what runs, and what is worth trying. */
import { formatHostPort } from '../../settings/values.ts'
import type { ReadyReport } from '../ready.ts'
import { DEMO_HOST } from './upstreams.ts'

/** One thing to try: the command lines as they can be pasted, and what to expect. */
export interface Trial {
  readonly what: string
  readonly commands: readonly string[]
}

/** Trials with the forward proxy. @param proxy Its address for curl. */
function egressTrials(proxy: string): readonly Trial[] {
  return [
    {
      what: 'the forward proxy lets through what ServiceEntries list',
      commands: [`curl -s -x ${proxy} http://orders.shop.internal/orders`],
    },
    { what: '… and nothing else: 403', commands: [`curl -si -x ${proxy} http://example.com/`] },
  ]
}

/** @param base Address of the gateway for curl, for example `localhost:8080`. @param folder The sample's folder. */
export function trials(base: string, folder: string): readonly Trial[] {
  return [
    {
      what: 'nine of ten answers come from version v1, one from v2',
      commands: [`for i in 1 2 3 4 5 6 7 8 9 10; do curl -s ${base}/orders; done`],
    },
    { what: 'with this header always v2 (a canary)', commands: [`curl -s -H 'x-canary: always' ${base}/orders`] },
    {
      what: `change the weights in ${folder}/routes.yaml, save, and ask again: no restart, and nothing in flight is lost`,
      commands: [`curl -si ${base}/orders | grep -i -e x-sluice-generation -e version`],
    },
    {
      what: 'one of two endpoints always fails; retries hide it (see x-envoy-attempt-count)',
      commands: [`curl -s ${base}/stock`],
    },
    {
      what: 'the upstream takes 3 s, the route allows 1 s: 504 from the gateway',
      commands: [`curl -si ${base}/reports`],
    },
    {
      what: 'a fault for whoever asks for it: 503 from the gateway, the upstream sees nothing',
      commands: [`curl -si -H 'x-demo-fault: abort' ${base}/orders`],
    },
    { what: 'a redirect', commands: [`curl -si ${base}/old/orders`] },
    {
      what: 'every order is copied to an audit service; this asks it how many it has seen',
      commands: [`curl -s ${DEMO_HOST}:9086/copies`],
    },
  ]
}

/** The text that `demo` prints once it serves. */
export function demoText(report: ReadyReport, folder: string): string {
  const base = curlAddress(report)
  const admin = formatHostPort(report.admin)
  const proxied = report.egress === null ? [] : egressTrials(formatHostPort(report.egress))
  const parts = [...trials(base, folder), ...proxied].map(({ what, commands }) => `# ${what}\n${commands.join('\n')}\n`)
  return [
    `\nSluice serves ${folder} at http://${base}/ (console: http://${admin}/). Worth trying:\n`,
    ...parts,
    `In another terminal: npx sluice status, npx sluice routes --host localhost, npx sluice explain GET http://localhost/orders.\nCtrl-C ends it.\n`,
  ].join('\n')
}

/** How curl reaches Gateway port 80. */
function curlAddress({ listeners }: ReadyReport): string {
  const listener = listeners.find(({ port }) => port === 80) ?? listeners[0]
  if (listener === undefined) return 'localhost'
  const { host, port } = listener.local
  const name = host === '::' || host === '0.0.0.0' || host === '127.0.0.1' ? 'localhost' : host
  return port === 80 ? name : formatHostPort({ host: name, port })
}
