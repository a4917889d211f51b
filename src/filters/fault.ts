/**
 * Faults on purpose: a delay, then perhaps an abort; each is drawn for itself.
 *
 * Source: semantics §2.11; envoy: source/extensions/filters/http/fault/fault_filter.cc.
 */
import type { Exchange } from '../exchange/exchange.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import type { FaultPlan } from '../plan/route.ts'
import type { Filter, FilterResult } from './filter.ts'

/** As the global `setTimeout`. */
export type StartTimer = (callback: () => void, delayMs: number) => { close(): unknown }

export interface FaultDeps {
  /** From 0 to 1, 1 excluded. */
  random(): number
  readonly setTimeout: StartTimer
}

/** The longest delay that a timer can have; a longer one would be none at all. */
const MAX_DELAY_MS = 2 ** 31 - 1

export function compileFault(plan: FaultPlan, deps: FaultDeps): Filter {
  const { delay } = plan
  const drawAbort = compileAbort(plan.abort, deps)
  if (delay === undefined) return drawAbort
  const delayMs = Math.min(delay.delayMs, MAX_DELAY_MS)
  return (exchange) => {
    if (delayMs <= 0 || deps.random() >= delay.fraction) return drawAbort()
    exchange.addFlag('DI')
    return wait(exchange, delayMs, deps.setTimeout).then(drawAbort)
  }
}

function compileAbort(abort: FaultPlan['abort'], deps: FaultDeps): () => FilterResult {
  if (abort === undefined) return () => undefined
  const answer = { body: 'fault filter abort', flag: 'FI', details: 'fault_filter_abort' }
  const reply: LocalReply =
    'grpcStatus' in abort
      ? { status: 200, ...answer, grpcStatus: abort.grpcStatus }
      : { status: abort.httpStatus, ...answer }
  return () => (deps.random() < abort.fraction ? reply : undefined)
}

/** Ends early when the client leaves: a delayed request must not hold anything for someone who is gone. */
function wait(exchange: Exchange, delayMs: number, setTimeout: StartTimer): Promise<void> {
  const { res } = exchange
  return new Promise((resolve) => {
    const end = (): void => {
      timer.close()
      res.removeListener('close', end)
      resolve()
    }
    const timer = setTimeout(end, delayMs)
    res.once('close', end)
  })
}
