/**
 * Makes a verdict true: changes the request and the response to come, or says what the client is answered.
 *
 * Source: envoy: source/extensions/filters/http/ext_authz/ext_authz.cc (`onComplete`).
 */
import type { Exchange, HeaderEdit } from '../../exchange/exchange.ts'
import { addHeader, hasHeader, type HeaderList, headerValue, removeHeader, setHeader } from '../../exchange/headers.ts'
import type { LocalReply } from '../../exchange/local-reply.ts'
import { isConnectionHeader, isRequestIdentity } from './header-rules.ts'
import { editQuery } from './query.ts'
import type { AllowVerdict, DenyVerdict, HeaderChange } from './verdict.ts'

/**
 * Lets the request go on as the authorizer wants it.
 *
 * @returns Why it cannot; nothing is changed then. Host, path and method stay what was asked about.
 */
export function applyAllow(exchange: Exchange, verdict: AllowVerdict): string | null {
  const { requestHeaders, removedHeaders, responseHeaders, query } = verdict
  const identity = requestHeaders.find(({ name }) => isRequestIdentity(name))
  if (identity !== undefined) return `it wants to change ${identity.name}`
  for (const change of requestHeaders) changeHeader(exchange.headers, change)
  for (const name of removedHeaders) {
    if (!isRequestIdentity(name) && !isConnectionHeader(name)) removeHeader(exchange.headers, name)
  }
  if (query.set.length > 0 || query.remove.length > 0) {
    exchange.query = editQuery(exchange.query, query)
    exchange.path = exchange.pathname + exchange.query
  }
  if (responseHeaders.length > 0) (exchange.responseEdits ??= []).push(editResponse(responseHeaders))
  return null
}

export function denyReply({ status, headers, body }: DenyVerdict): LocalReply {
  return { status, headers, body, flag: 'UAEX', details: 'ext_authz_denied' }
}

function editResponse(changes: readonly HeaderChange[]): HeaderEdit {
  return (headers) => {
    for (const change of changes) changeHeader(headers, change)
  }
}

function changeHeader(headers: HeaderList, { name, value, how }: HeaderChange): void {
  if (isConnectionHeader(name)) return
  switch (how) {
    case 'set':
      setHeader(headers, name, value)
      break
    case 'append': {
      const present = headerValue(headers, name)
      setHeader(headers, name, present === undefined || present === '' ? value : `${present},${value}`)
      break
    }
    case 'add':
      addHeader(headers, name, value)
      break
    case 'add-if-absent':
      if (!hasHeader(headers, name)) addHeader(headers, name, value)
      break
    case 'overwrite':
      if (hasHeader(headers, name)) setHeader(headers, name, value)
      break
    default:
      how satisfies never
  }
}
