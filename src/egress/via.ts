/** Other proxies that connections go through on their way out (`egress.via`, `egress.noProxy`). */
import { isIP } from 'node:net'
import { addressBlocks, isInBlocks } from '../lib/address-class.ts'
import { covers, isCIDR } from '../lib/names.ts'

export interface ViaProxy {
  /** Name or address. */
  readonly host: string
  readonly port: number
  /** Value of `proxy-authorization`; null: none is sent. */
  readonly authorization: string | null
}

export interface ViaSettings {
  readonly via: readonly {
    /** Names, `*.suffix` or `*`. */
    readonly hosts: readonly string[]
    /** `http://[USER:PASSWORD@]HOST:PORT` */
    readonly proxy: string
  }[]
  /** Names, `*.suffix`, addresses and blocks of them. */
  readonly noProxy: readonly string[]
}

/** @returns The proxy for a host, which is a name in lower case or an IP address; null: it is reached directly. */
export function compileVia({ via, noProxy }: ViaSettings): (host: string) => ViaProxy | null {
  if (via.length === 0) return () => null
  const entries = via.map(({ hosts, proxy }) => ({ hosts, proxy: readProxy(proxy) }))
  const direct = addressBlocks(noProxy.filter(isCIDR))
  const names = noProxy.filter((entry) => !isCIDR(entry)).map((entry) => entry.toLowerCase())
  return (host) => {
    if (isIP(host) === 0 ? names.some((name) => covers(name, host)) : isInBlocks(direct, host)) return null
    return entries.find(({ hosts }) => hosts.some((pattern) => covers(pattern, host)))?.proxy ?? null
  }
}

function readProxy(text: string): ViaProxy {
  const { hostname, port, username, password } = new URL(text)
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return {
    host: hostname.startsWith('[') ? hostname.slice(1, -1) : hostname,
    port: port === '' ? 80 : Number(port),
    authorization: username === '' ? null : `Basic ${Buffer.from(credentials).toString('base64')}`,
  }
}
