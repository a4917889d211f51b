// What all scenarios share: where requests go.

/** Address of the gateway, without a trailing slash. */
export const BASE = (__ENV.BASE_URL || 'http://127.0.0.1:8080').replace(/\/$/, '')

/** What a scenario that sends only one kind of request asks for. */
export const PATH = __ENV.TARGET_PATH || '/orders'

/** Host header, for gateways whose hosts do not resolve to them; empty: the address's own. */
const HOST = __ENV.TARGET_HOST || ''

/** @param headers Further headers of one request. */
export function params(headers = {}, more = {}) {
  return { headers: HOST === '' ? headers : { Host: HOST, ...headers }, redirects: 0, ...more }
}

/** The JSON in an answer; an answer without any is an empty object, so that a check fails and not the script. */
export function bodyOf(answer) {
  try {
    return answer.json() || {}
  } catch {
    return {}
  }
}

/** A setting that is a number. */
export function number(name, otherwise) {
  const value = Number(__ENV[name] || otherwise)
  if (Number.isNaN(value)) throw new Error(`${name} is not a number: ${__ENV[name]}`)
  return value
}
