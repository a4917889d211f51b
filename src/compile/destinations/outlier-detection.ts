/**
 * `outlierDetection` of a traffic policy, with Envoy's defaults for what it leaves out.
 *
 * Source: istio: pilot/pkg/networking/core/cluster_traffic_policy.go (`applyOutlierDetection`); envoy:
 * config/cluster/v3/outlier_detection.proto.
 */
import { durationMs } from '../../lib/duration.ts'
import type { OutlierDetectionPlan } from '../../plan/cluster.ts'
import type { OutlierDetection } from '../../resources/destination-rule.ts'

const DEFAULT_CONSECUTIVE = 5
const DEFAULT_INTERVAL_MS = 10_000
const DEFAULT_BASE_EJECTION_MS = 30_000
const DEFAULT_MAX_EJECTION_MS = 300_000
const DEFAULT_MAX_EJECTION_PERCENT = 10

export function compileOutlierDetection(outlier: OutlierDetection): OutlierDetectionPlan {
  const baseEjectionMs = milliseconds(outlier.baseEjectionTime) || DEFAULT_BASE_EJECTION_MS
  const errorStatuses = outlier.outlierDetectionHttpErrorCodes ?? []
  const splitLocalOrigin = outlier.splitExternalLocalOriginErrors === true
  return {
    // Given as 0 it is off, which is not the same as left out.
    consecutive5xx: outlier.consecutive5xxErrors ?? DEFAULT_CONSECUTIVE,
    consecutiveGatewayErrors: outlier.consecutiveGatewayErrors ?? 0,
    splitLocalOrigin,
    consecutiveLocalOriginFailures: splitLocalOrigin
      ? outlier.consecutiveLocalOriginFailures || DEFAULT_CONSECUTIVE
      : 0,
    intervalMs: milliseconds(outlier.interval) || DEFAULT_INTERVAL_MS,
    baseEjectionMs,
    maxEjectionMs: Math.max(DEFAULT_MAX_EJECTION_MS, baseEjectionMs),
    maxEjectionFraction: (outlier.maxEjectionPercent || DEFAULT_MAX_EJECTION_PERCENT) / 100,
    minHealthFraction: (outlier.minHealthPercent ?? 0) / 100,
    ...(errorStatuses.length === 0 ? {} : { errorStatuses }),
  }
}

function milliseconds(text: string | undefined): number {
  return text === undefined ? 0 : durationMs(text)
}
