/**
 * A filter looks at a request before it is forwarded. It is compiled from the plan once; what depends on
 * configuration alone is settled then.
 *
 * It returns nothing (go on), a reply (the request ends here), or, only if it must wait, a promise of either: a
 * request whose filters are all synchronous reaches the upstream's socket in the same turn of the event loop.
 */
import type { Exchange } from '../exchange/exchange.ts'
import type { LocalReply } from '../exchange/local-reply.ts'

export type FilterResult = LocalReply | undefined

export type Filter = (exchange: Exchange) => FilterResult | Promise<FilterResult>
