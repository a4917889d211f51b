/** Syntax of the names that resources refer to: labels, host names, wildcard hosts, addresses. */
import { isIP } from 'node:net'

const LABEL = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/
const LOWER_LABEL = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/
const MAX_NAME = 255

/** RFC 1123 label, letters of either case, at most 63 characters. */
export function isLabel(text: string): boolean {
  return LABEL.test(text)
}

/** A Kubernetes name that is one label: lower case. */
export function isDNSLabel(text: string): boolean {
  return LOWER_LABEL.test(text)
}

/** Labels with dots between, the last one not all digits, perhaps a dot behind it. */
const FQDN =
  /^(?:[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?\.)*(?![0-9]+\.?$)[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?\.?$/

/** Whether this is a host name. Without a dot it is one, too. */
export function isFQDN(text: string): boolean {
  return text.length <= MAX_NAME + 1 && (text.length <= MAX_NAME || text.endsWith('.')) && FQDN.test(text)
}

export type HostSyntax =
  /** A host name without a wildcard. */
  | 'name'
  /** `*` */
  | 'any'
  /** `*.example.com` */
  | 'wildcard'
  /** `*example.com`: Istio takes it in some places. */
  | 'partial-wildcard'
  | 'invalid'

/** What kind of (wildcard) host name this is. An IP address is `invalid`: whoever takes those asks `isIP` first. */
export function hostSyntax(text: string): HostSyntax {
  if (text === '*') return 'any'
  if (!text.includes('*')) return isFQDN(text) ? 'name' : 'invalid'
  if (text.lastIndexOf('*') !== 0) return 'invalid'
  if (text.startsWith('*.')) return isFQDN(text.slice(2)) ? 'wildcard' : 'invalid'
  return isFQDN(text.slice(1).replace(/^-+/, '')) ? 'partial-wildcard' : 'invalid'
}

/**
 * Whether two hosts, either of them perhaps a wildcard, have a name in common: they are equal, or one covers the other.
 * Both in lower case.
 */
export function hostsOverlap(a: string, b: string): boolean {
  return a === b || covers(a, b) || covers(b, a)
}

/** Whether `pattern` covers every name of `host`: `*.foo.com` covers `a.foo.com` and `*.a.foo.com`, not `foo.com`. */
export function covers(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*')) return pattern === host
  const rest = host.startsWith('*') ? host.slice(1) : host
  return rest.endsWith(pattern.slice(1)) && (pattern === '*' || host.startsWith('*') || rest.length >= pattern.length)
}

/** An IPv4 or IPv6 address, or one with a prefix length after a slash. */
export function isCIDR(text: string): boolean {
  const slash = text.indexOf('/')
  if (slash === -1) return isIP(text) !== 0
  const family = isIP(text.slice(0, slash))
  const bits = text.slice(slash + 1)
  return family !== 0 && /^[0-9]{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128)
}

/** A header name: an RFC 9110 token. */
export function isHeaderName(text: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text)
}

/** A label key or value of Kubernetes: at most 63 characters after an optional DNS prefix. */
export function isLabelKey(text: string): boolean {
  const slash = text.indexOf('/')
  const name = slash === -1 ? text : text.slice(slash + 1)
  return (
    (slash === -1 || isFQDN(text.slice(0, slash))) && /^[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(name)
  )
}

export function isLabelValue(text: string): boolean {
  return text === '' || /^[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(text)
}
