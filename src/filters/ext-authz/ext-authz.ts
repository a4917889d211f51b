/**
 * Asks an external authorizer whether a request may pass. Only its plain yes lets the request through; where it cannot
 * be asked, does not answer in time or answers something else, the request is refused, unless the provider says
 * `failOpen`.
 *
 * Source: semantics §5.9; envoy: source/extensions/filters/http/ext_authz/ext_authz.cc.
 */
import type { Exchange } from '../../exchange/exchange.ts'
import type { LocalReply } from '../../exchange/local-reply.ts'
import type { ExtAuthzProviderPlan } from '../../plan/ext-authz.ts'
import type { Cluster } from '../../upstreams/cluster.ts'
import type { Filter, FilterResult } from '../filter.ts'
import { applyAllow, denyReply } from './apply.ts'
import { GrpcChannels } from './grpc-channel.ts'
import { createGrpcChecker } from './grpc-check.ts'
import { createHttpChecker } from './http-check.ts'
import { readBody } from './read-body.ts'
import type { CheckedBody, Checker, Verdict } from './verdict.ts'

export interface Clusters {
  get(name: string): Cluster | undefined
}

export interface ExtAuthzDeps {
  readonly clusters: Clusters
  /** Connections of gRPC authorizers that outlive a change of policies; absent: this filter's own. */
  readonly grpcChannels?: GrpcChannels
  /** Told when checks begin to fail, and with an empty reason when they work again. */
  readonly reportExtAuthz?: (provider: string, reason: string) => void
}

const TOO_LARGE: LocalReply = { status: 413, body: 'Payload Too Large', details: 'request_payload_too_large' }

/** Nobody reads it: the client has left. It is a refusal so that nothing goes on. */
const GONE: LocalReply = { status: 403, details: 'downstream_remote_disconnect' }

const TIMED_OUT: Verdict = { kind: 'error', reason: 'it did not answer in time' }

export function compileExtAuthz(provider: ExtAuthzProviderPlan, deps: ExtAuthzDeps): Filter {
  const { protocol, body: bodyPlan } = provider
  const check =
    protocol.kind === 'http'
      ? createHttpChecker(provider, protocol, deps.clusters)
      : createGrpcChecker(provider, deps.clusters, deps.grpcChannels ?? new GrpcChannels())
  const conclude = compileConclusion(provider, deps)
  const ask = (exchange: Exchange, body: CheckedBody | null) =>
    askInTime(check, exchange, body, provider.timeoutMs).then((verdict) =>
      // A request whose body turned out to be none has been answered meanwhile.
      verdict === 'gone' || exchange.res.headersSent ? GONE : conclude(exchange, verdict),
    )
  if (bodyPlan === null) return (exchange) => ask(exchange, null)
  return async (exchange) => {
    if (exchange.body === 'none') return ask(exchange, null)
    const body = await readBody(exchange, bodyPlan)
    if (body === 'gone') return GONE
    if (body === 'too-large') return TOO_LARGE
    return ask(exchange, body)
  }
}

/** @returns What ends the request, or lets it go on, after a verdict. */
function compileConclusion(
  { name, failOpen, statusOnError }: ExtAuthzProviderPlan,
  deps: ExtAuthzDeps,
): (exchange: Exchange, verdict: Verdict) => FilterResult {
  const failed: LocalReply = { status: statusOnError, flag: 'UAEX', details: 'ext_authz_error' }
  let trouble = ''
  const report = (reason: string): void => {
    // Only changes between good and bad: a dead authorizer must not fill the log with a line for each request.
    if ((trouble === '') === (reason === '')) return
    trouble = reason
    deps.reportExtAuthz?.(name, reason)
  }
  const fail = (reason: string): FilterResult => {
    report(reason)
    return failOpen ? undefined : failed
  }
  return (exchange, verdict) => {
    switch (verdict.kind) {
      case 'allow': {
        const problem = applyAllow(exchange, verdict)
        if (problem !== null) return fail(problem)
        report('')
        return undefined
      }
      case 'deny':
        report('')
        return denyReply(verdict)
      case 'error':
        return fail(verdict.reason)
      default:
        return verdict satisfies never
    }
  }
}

/** A check is called off when its time is up or its client leaves, so that it holds nothing for someone who is gone. */
function askInTime(
  check: Checker,
  exchange: Exchange,
  body: CheckedBody | null,
  timeoutMs: number,
): Promise<Verdict | 'gone'> {
  const { res } = exchange
  return new Promise((resolve) => {
    let cancel: ((timedOut: boolean) => void) | null = null
    const end = (verdict: Verdict | 'gone'): void => {
      clearTimeout(timer)
      res.removeListener('close', leave)
      resolve(verdict)
    }
    const leave = (): void => {
      cancel?.(false)
      end('gone')
    }
    const timer = setTimeout(() => {
      cancel?.(true)
      end(TIMED_OUT)
    }, timeoutMs)
    res.once('close', leave)
    cancel = check(exchange, body, end)
  })
}
