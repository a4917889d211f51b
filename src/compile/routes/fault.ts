/**
 * Fault injection.
 *
 * Source: istio: pilot/pkg/networking/core/route/route.go (`TranslateFault`); api: HTTPFaultInjection.
 */
import { durationMs } from '../../lib/duration.ts'
import { GRPC_STATUS_NAMES } from '../../lib/grpc-status-names.ts'
import type { FaultPlan } from '../../plan/route.ts'
import type { HTTPFaultInjection, Percent } from '../../resources/virtual-service.ts'

/** @returns Undefined where no request is touched: a fault without a percentage is one of 0 %. */
export function compileFault(spec: HTTPFaultInjection | undefined): FaultPlan | undefined {
  const delay = compileDelay(spec?.delay)
  const abort = compileAbort(spec?.abort)
  if (delay === undefined && abort === undefined) return undefined
  return { ...(delay === undefined ? {} : { delay }), ...(abort === undefined ? {} : { abort }) }
}

function compileDelay(spec: HTTPFaultInjection['delay']): FaultPlan['delay'] {
  if (spec?.fixedDelay === undefined) return undefined
  const fraction = toFraction(spec.percentage, spec.percent ?? 0)
  const delayMs = durationMs(spec.fixedDelay)
  return fraction === 0 || delayMs === 0 ? undefined : { fraction, delayMs }
}

function compileAbort(spec: HTTPFaultInjection['abort']): FaultPlan['abort'] {
  const fraction = toFraction(spec?.percentage, 0)
  if (spec === undefined || fraction === 0) return undefined
  if (spec.httpStatus !== undefined) return { fraction, httpStatus: spec.httpStatus }
  const grpcStatus = GRPC_STATUS_NAMES.indexOf((spec.grpcStatus ?? '').toUpperCase())
  return grpcStatus === -1 ? undefined : { fraction, grpcStatus }
}

/** A share from 0 to 1; `otherwise` is the percentage where none is set. */
export function toFraction(percentage: Percent | undefined, otherwise: number): number {
  const percent = percentage === undefined ? otherwise : (percentage.value ?? 0)
  // Envoy draws from a million: what is finer than that does not exist, and floating point noise neither.
  return Math.min(1, Math.round(percent * 10_000) / 1_000_000)
}
