/**
 * Rules that several kinds share (istio: `pkg/config/validation/validation.go`, `pkg/config/validation/agent`). Each
 * takes where to report, the code to report under, the JSON pointer of the value, and the value; an absent value is
 * fine.
 */
import { parseDuration } from '../lib/duration.ts'
import { compileLinearRegex } from '../lib/linear-regex.ts'
import { hostSyntax, isCIDR, isDNSLabel, isHeaderName, isLabelKey, isLabelValue } from '../lib/names.ts'
import { isIP } from 'node:net'
import { type Findings, pointerToken } from './findings.ts'
import { groupsOfSimpleRegex } from './simple-regex.ts'

/** At least a millisecond, and whole milliseconds; with `zero`, 0 too (it then switches something off). */
export function checkDuration(
  findings: Findings,
  code: string,
  pointer: string,
  text: string | undefined,
  zero: 'zero' | 'positive' = 'positive',
): void {
  if (text === undefined) return
  const ms = parseDuration(text)
  if (ms === undefined) {
    findings.error(code, pointer, `expected a duration such as "1.5s", found "${text}"`)
  } else if (ms < 1 && !(zero === 'zero' && ms === 0)) {
    findings.error(code, pointer, `a duration of at least 1ms is needed here, found "${text}"`)
  } else if (!Number.isInteger(ms)) {
    findings.error(code, pointer, `durations are whole milliseconds here, found "${text}"`)
  }
}

export function checkPort(findings: Findings, code: string, pointer: string, port: number | undefined): void {
  if (port !== undefined && (port < 1 || port > 65535)) {
    findings.error(code, pointer, `a port is a number from 1 to 65535, found ${port}`)
  }
}

/** 0, or from 0.0001 to 100. */
export function checkPercentage(findings: Findings, code: string, pointer: string, percent: number | undefined): void {
  if (percent === undefined || percent === 0) return
  if (!(percent >= 0 && percent <= 100)) {
    findings.error(code, pointer, `a percentage is a number from 0 to 100, found ${percent}`)
  } else if (percent < 0.0001) {
    findings.error(code, pointer, `the smallest percentage above 0 is 0.0001, found ${percent}`)
  }
}

/** @returns The capturing groups of the pattern, or undefined where it is refused. */
export function checkRegex(findings: Findings, code: string, pointer: string, pattern: string): number | undefined {
  const simple = groupsOfSimpleRegex(pattern)
  if (simple !== undefined) return simple
  const compiled = compileLinearRegex(pattern)
  if (compiled.ok) return compiled.groups
  findings.error(code, pointer, `"${shorten(pattern)}" is not a regular expression of RE2: ${compiled.reason}`, {
    ...(pattern === '*' ? { remedy: 'Write ".*" for anything.' } : {}),
    ...(/\(\?(?:=|!|<=|<!)/.test(pattern) ? { remedy: 'RE2 has no look-ahead and look-behind.' } : {}),
  })
  return undefined
}

export type AllowedHost = 'any' | 'partial-wildcard' | 'ip'

/** A host name or `*.` and a host name; `allowed` lists what else may stand here. @returns Whether it may. */
export function checkHost(
  findings: Findings,
  code: string,
  pointer: string,
  host: string,
  allowed: readonly AllowedHost[] = [],
): boolean {
  const syntax = hostSyntax(host)
  if (syntax === 'name' || syntax === 'wildcard') return true
  if (syntax === 'any' && allowed.includes('any')) return true
  if (syntax === 'partial-wildcard' && allowed.includes('partial-wildcard')) return true
  if (syntax === 'invalid' && allowed.includes('ip') && isIP(host) !== 0) return true
  findings.error(code, pointer, hostMessage(host, syntax))
  return false
}

function hostMessage(host: string, syntax: string): string {
  if (host === '') return 'a host name is needed here, found an empty text'
  if (syntax === 'any') return 'a host of "*" is not possible here'
  if (syntax === 'partial-wildcard') return `a wildcard stands for whole labels ("*.example.com"), found "${host}"`
  if (host.includes('*')) return `a wildcard is possible only as the first label ("*.example.com"), found "${host}"`
  if (host.includes('://')) return `expected a host name without a scheme, found "${shorten(host)}"`
  if (/:[0-9]+$/.test(host) && isIP(host) === 0) return `expected a host name without a port, found "${shorten(host)}"`
  if (host.includes('/')) return `expected a host name without a path, found "${shorten(host)}"`
  if (isIP(host) !== 0) return `expected a host name, found the address ${host}`
  return `"${shorten(host)}" is not a host name`
}

/** `.`, `*`, or namespaces; for a ServiceEntry also `~`. */
export function checkExportTo(
  findings: Findings,
  code: string,
  exportTo: readonly string[] | undefined,
  ownNamespace: string,
  none: 'tilde' | 'no-tilde' = 'no-tilde',
): void {
  if (exportTo === undefined) return
  const seen = new Set<string>()
  for (const [index, entry] of exportTo.entries()) {
    const pointer = `/spec/exportTo/${index}`
    if (entry === '~' && none === 'tilde') {
      if (exportTo.length > 1) findings.error(code, pointer, '"~" (nobody) has to stand alone')
    } else if (entry === '*') {
      if (exportTo.length > 1) findings.error(code, pointer, '"*" (everybody) has to stand alone')
    } else if (entry !== '.' && !isDNSLabel(entry)) {
      findings.error(code, pointer, `expected ".", "*" or the name of a namespace, found "${entry}"`)
    }
    const namespace = entry === '.' ? ownNamespace : entry
    if (seen.has(namespace)) findings.error(code, pointer, `the namespace "${namespace}" is listed twice`)
    seen.add(namespace)
  }
}

/** Labels that choose workloads. */
export function checkSelector(
  findings: Findings,
  code: string,
  pointer: string,
  labels: Readonly<Record<string, string>> | undefined,
  empty: 'warn' | 'fine' = 'warn',
): void {
  if (labels === undefined) return
  const entries = Object.entries(labels)
  if (entries.length === 0 && empty === 'warn') {
    findings.warning(code, pointer, 'a selector without labels selects every workload of its scope')
  }
  for (const [key, value] of entries) {
    const at = `${pointer}/${pointerToken(key)}`
    if (key === '') findings.error(code, at, 'a label needs a key')
    else if (key.includes('*') || value.includes('*')) findings.error(code, at, 'a selector knows no wildcards')
    else checkLabel(findings, code, at, key, value)
  }
}

export function checkLabels(
  findings: Findings,
  code: string,
  pointer: string,
  labels: Readonly<Record<string, string>> | undefined,
): void {
  for (const [key, value] of Object.entries(labels ?? {})) {
    checkLabel(findings, code, `${pointer}/${pointerToken(key)}`, key, value)
  }
}

function checkLabel(findings: Findings, code: string, pointer: string, key: string, value: string): void {
  if (!isLabelKey(key)) findings.error(code, pointer, `"${shorten(key)}" is not the key of a label`)
  if (!isLabelValue(value)) findings.error(code, pointer, `"${shorten(value)}" is not the value of a label`)
}

export interface PolicyTargets {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> } | undefined
  readonly targetRef?: TargetReference | undefined
  readonly targetRefs?: readonly TargetReference[] | undefined
}

interface TargetReference {
  readonly group?: string
  readonly kind: string
  readonly name: string
  readonly namespace?: string
}

const TARGETS = [
  '/Service',
  'networking.istio.io/ServiceEntry',
  'gateway.networking.k8s.io/Gateway',
  'gateway.networking.k8s.io/GatewayClass',
]

/** `selector` or `targetRefs` of a policy, never both. */
export function checkPolicyTargets(findings: Findings, code: string, spec: PolicyTargets): void {
  checkSelector(findings, code, '/spec/selector/matchLabels', spec.selector?.matchLabels)
  const references = [
    ...(spec.targetRef === undefined ? [] : [['/spec/targetRef', spec.targetRef] as const]),
    ...(spec.targetRefs ?? []).map((reference, index) => [`/spec/targetRefs/${index}`, reference] as const),
  ]
  if (references.length > 0 && spec.selector !== undefined) {
    findings.error(code, references[0]?.[0] ?? '', 'targetRefs and selector exclude each other')
  }
  if (spec.targetRef !== undefined && spec.targetRefs !== undefined) {
    findings.error(code, '/spec/targetRef', 'targetRef and targetRefs exclude each other')
  }
  for (const [pointer, reference] of references) {
    if (reference.name === '') findings.error(code, `${pointer}/name`, 'a name is needed here')
    if ((reference.namespace ?? '') !== '') {
      findings.error(code, `${pointer}/namespace`, 'a policy can refer only to its own namespace')
    }
    const target = `${reference.group === 'core' ? '' : (reference.group ?? '')}/${reference.kind}`
    if (!TARGETS.includes(target)) {
      findings.error(code, `${pointer}/kind`, `a policy cannot refer to a "${target.replace(/^\//, '')}"`)
    }
  }
}

export function checkAddressBlock(findings: Findings, code: string, pointer: string, block: string): void {
  if (!isCIDR(block)) {
    findings.error(code, pointer, `expected an IP address or a block such as 10.0.0.0/8, found "${shorten(block)}"`)
  }
}

export function checkHeaderName(findings: Findings, code: string, pointer: string, name: string): boolean {
  if (isHeaderName(name)) return true
  findings.error(code, pointer, name === '' ? 'a header name is empty' : `"${shorten(name)}" is not a header name`)
  return false
}

/** As much of a user's text as a message should quote. */
export function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}
