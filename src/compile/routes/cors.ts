/**
 * CORS policies, as the header values that will be sent.
 *
 * Source: istio: pilot/pkg/networking/core/route/route.go (`TranslateCORSPolicy`); api: CorsPolicy.
 */
import { durationMs } from '../../lib/duration.ts'
import type { CorsPlan } from '../../plan/route.ts'
import type { CorsPolicy } from '../../resources/virtual-service.ts'
import { compileText } from './match.ts'

export function compileCors(spec: CorsPolicy | undefined): CorsPlan | undefined {
  if (spec === undefined) return undefined
  const allowMethods = joined(spec.allowMethods)
  const allowHeaders = joined(spec.allowHeaders)
  const exposeHeaders = joined(spec.exposeHeaders)
  return {
    // The deprecated list counts only where the new one is empty.
    allowOrigins: spec.allowOrigins?.length
      ? spec.allowOrigins.map(compileText)
      : (spec.allowOrigin ?? []).map((value) => ({ kind: 'exact', value })),
    ...(allowMethods === undefined ? {} : { allowMethods }),
    ...(allowHeaders === undefined ? {} : { allowHeaders }),
    ...(exposeHeaders === undefined ? {} : { exposeHeaders }),
    ...(spec.maxAge === undefined ? {} : { maxAge: String(Math.floor(durationMs(spec.maxAge) / 1000)) }),
    allowCredentials: spec.allowCredentials ?? false,
    forwardUnmatchedPreflights: spec.unmatchedPreflights !== 'IGNORE',
  }
}

function joined(values: readonly string[] | undefined): string | undefined {
  return values === undefined || values.length === 0 ? undefined : values.join(',')
}
