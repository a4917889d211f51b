/** Telemetry: metrics, access logs and traces of workloads. istio/api telemetry/v1alpha1/telemetry.proto */
import type { Static } from 'typebox'
import type { Problem } from '../plan/problem.ts'
import { createFindings, type Findings, pointerToken } from './findings.ts'
import type { Resource } from './resource.ts'
import {
  duration,
  fields,
  flag,
  type Frozen,
  list,
  map,
  number,
  optional,
  PolicySelectorSchema,
  PolicyTargetReferenceSchema,
  text,
  word,
} from './schema.ts'
import { checkDuration, checkPolicyTargets } from './rules.ts'

const WorkloadModeSchema = word(['CLIENT_AND_SERVER', 'CLIENT', 'SERVER'])
const ProviderRefSchema = fields({ name: text })

const CustomTagSchema = fields({
  literal: optional(fields({ value: text })),
  environment: optional(fields({ name: text, defaultValue: optional(text) })),
  header: optional(fields({ name: text, defaultValue: optional(text) })),
  formatter: optional(fields({ value: text })),
})

const TracingSchema = fields({
  match: optional(fields({ mode: optional(WorkloadModeSchema) })),
  providers: optional(list(ProviderRefSchema)),
  randomSamplingPercentage: optional(number),
  disableSpanReporting: optional(flag),
  customTags: optional(map(CustomTagSchema)),
  useRequestIdForTraceSampling: optional(flag),
  enableIstioTags: optional(flag),
})

const MetricSelectorSchema = fields({
  metric: optional(
    word([
      'ALL_METRICS',
      'REQUEST_COUNT',
      'REQUEST_DURATION',
      'REQUEST_SIZE',
      'RESPONSE_SIZE',
      'TCP_OPENED_CONNECTIONS',
      'TCP_CLOSED_CONNECTIONS',
      'TCP_SENT_BYTES',
      'TCP_RECEIVED_BYTES',
      'GRPC_REQUEST_MESSAGES',
      'GRPC_RESPONSE_MESSAGES',
    ]),
  ),
  customMetric: optional(text),
  mode: optional(WorkloadModeSchema),
})

const MetricsOverridesSchema = fields({
  match: optional(MetricSelectorSchema),
  disabled: optional(flag),
  tagOverrides: optional(map(fields({ operation: optional(word(['UPSERT', 'REMOVE'])), value: optional(text) }))),
})

const MetricsSchema = fields({
  providers: optional(list(ProviderRefSchema)),
  overrides: optional(list(MetricsOverridesSchema)),
  reportingInterval: optional(duration),
})

const AccessLoggingSchema = fields({
  match: optional(fields({ mode: optional(WorkloadModeSchema) })),
  providers: optional(list(ProviderRefSchema)),
  disabled: optional(flag),
  filter: optional(fields({ expression: optional(text) })),
})

export const TelemetrySpecSchema = fields({
  selector: optional(PolicySelectorSchema),
  targetRef: optional(PolicyTargetReferenceSchema),
  targetRefs: optional(list(PolicyTargetReferenceSchema)),
  tracing: optional(list(TracingSchema)),
  metrics: optional(list(MetricsSchema)),
  accessLogging: optional(list(AccessLoggingSchema)),
})

export type Tracing = Frozen<Static<typeof TracingSchema>>
export type Metrics = Frozen<Static<typeof MetricsSchema>>
export type MetricsOverrides = Frozen<Static<typeof MetricsOverridesSchema>>
export type AccessLogging = Frozen<Static<typeof AccessLoggingSchema>>
export type TelemetrySpec = Frozen<Static<typeof TelemetrySpecSchema>>
export type Telemetry = Resource<'Telemetry', TelemetrySpec>

/** istio: `pkg/config/validation/validation.go`, `ValidateTelemetry`. */
export function validateTelemetry(telemetry: Telemetry): Problem[] {
  const findings = createFindings(telemetry)
  const { spec } = telemetry
  checkPolicyTargets(findings, 'telemetry/target', spec)
  for (const [index, tracing] of (spec.tracing ?? []).entries())
    checkTracing(findings, `/spec/tracing/${index}`, tracing)
  for (const [index, metrics] of (spec.metrics ?? []).entries())
    checkMetrics(findings, `/spec/metrics/${index}`, metrics)
  for (const [index, logging] of (spec.accessLogging ?? []).entries()) {
    checkProviders(findings, `/spec/accessLogging/${index}`, logging.providers)
    if (logging.filter?.expression === '') {
      findings.error(
        'telemetry/access-logging',
        `/spec/accessLogging/${index}/filter/expression`,
        'the expression is empty',
      )
    }
  }
  return [...findings.problems]
}

function checkTracing(findings: Findings, at: string, tracing: Tracing): void {
  const code = 'telemetry/tracing'
  checkProviders(findings, at, tracing.providers)
  const share = tracing.randomSamplingPercentage
  if (share !== undefined && !(share >= 0 && share <= 100)) {
    findings.error(code, `${at}/randomSamplingPercentage`, `a percentage is from 0 to 100, found ${share}`)
  }
  for (const [name, tag] of Object.entries(tracing.customTags ?? {})) {
    const tagAt = `${at}/customTags/${pointerToken(name)}`
    if (name === '') findings.error(code, tagAt, 'a tag needs a name')
    if (Object.keys(tag).length !== 1) {
      findings.error(code, tagAt, 'a tag needs one of literal, environment, header and formatter')
    }
    const empty =
      tag.literal?.value === '' ||
      tag.environment?.name === '' ||
      tag.header?.name === '' ||
      tag.formatter?.value === ''
    if (empty) findings.error(code, tagAt, 'the value of a tag is empty')
  }
}

function checkMetrics(findings: Findings, at: string, metrics: Metrics): void {
  const code = 'telemetry/metrics'
  checkProviders(findings, at, metrics.providers)
  checkDuration(findings, code, `${at}/reportingInterval`, metrics.reportingInterval)
  for (const [index, override] of (metrics.overrides ?? []).entries()) {
    const overrideAt = `${at}/overrides/${index}`
    if (override.match?.customMetric === '') {
      findings.error(code, `${overrideAt}/match/customMetric`, 'the name of the metric is empty')
    }
    for (const [tag, { operation = 'UPSERT', value }] of Object.entries(override.tagOverrides ?? {})) {
      const tagAt = `${overrideAt}/tagOverrides/${pointerToken(tag)}`
      if (tag === '') findings.error(code, tagAt, 'a tag needs a name')
      if (operation === 'UPSERT' && (value ?? '') === '') findings.error(code, tagAt, 'UPSERT needs a value')
      if (operation !== 'UPSERT' && value !== undefined)
        findings.error(code, `${tagAt}/value`, `${operation} takes no value`)
    }
  }
}

function checkProviders(
  findings: Findings,
  at: string,
  providers: readonly { readonly name: string }[] | undefined,
): void {
  for (const [index, { name }] of (providers ?? []).entries()) {
    if (name === '')
      findings.error('telemetry/provider', `${at}/providers/${index}/name`, 'the name of the provider is empty')
  }
}
