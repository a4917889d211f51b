/** What Istio refuses in loadBalancer of a traffic policy (istio: `pkg/config/validation`, `validateLoadBalancer`). */
import type { ConsistentHashLB, LoadBalancerSettings, LocalityLoadBalancerSetting } from './destination-rule.ts'
import { type Findings, pointerToken, present } from './findings.ts'
import { checkDuration, shorten } from './rules.ts'

const CODE = 'destination-rule/load-balancer'
const MAGLEV_LIMIT = 5_000_011

export function checkLoadBalancer(
  findings: Findings,
  at: string,
  settings: LoadBalancerSettings | undefined,
  hasOutlierDetection: boolean,
): void {
  if (settings === undefined) return
  if (settings.simple !== undefined && settings.consistentHash !== undefined) {
    findings.error(CODE, `${at}/consistentHash`, 'simple and consistentHash exclude each other')
  }
  if (settings.consistentHash !== undefined)
    checkConsistentHash(findings, `${at}/consistentHash`, settings.consistentHash)
  if (settings.localityLbSetting !== undefined) {
    checkLocality(findings, `${at}/localityLbSetting`, settings.localityLbSetting, hasOutlierDetection)
    if (settings.zoneAwareLbSetting !== undefined) {
      findings.error(CODE, `${at}/zoneAwareLbSetting`, 'localityLbSetting and zoneAwareLbSetting exclude each other')
    }
  }
  checkWarmup(findings, at, settings)
}

function checkWarmup(findings: Findings, at: string, { warmup, warmupDurationSecs }: LoadBalancerSettings): void {
  checkDuration(findings, CODE, `${at}/warmupDurationSecs`, warmupDurationSecs)
  if (warmupDurationSecs !== undefined) {
    findings.warning('schema/deprecated', `${at}/warmupDurationSecs`, 'warmupDurationSecs is deprecated', {
      istioCode: 'IST0002',
      remedy: 'Write warmup: { duration: … }.',
    })
  }
  if (warmup === undefined) return
  if (warmup.duration === undefined) findings.error(CODE, `${at}/warmup`, '"duration" is missing')
  checkDuration(findings, CODE, `${at}/warmup/duration`, warmup.duration)
  const { minimumPercent: percent, aggression } = warmup
  if (percent !== undefined && !(percent >= 0 && percent <= 100)) {
    findings.error(CODE, `${at}/warmup/minimumPercent`, `a percentage is from 0 to 100, found ${percent}`)
  }
  if (aggression !== undefined && !(aggression > 0)) {
    findings.error(CODE, `${at}/warmup/aggression`, `aggression is more than 0, found ${aggression}`)
  }
}

function checkConsistentHash(findings: Findings, at: string, hash: ConsistentHashLB): void {
  const keys = present(hash, ['httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName'])
  if (keys.length > 1) findings.error(CODE, `${at}/${keys[1]}`, `${keys.join(' and ')} exclude each other`)
  if (hash.ringHash !== undefined && hash.maglev !== undefined) {
    findings.error(CODE, `${at}/maglev`, 'ringHash and maglev exclude each other')
  }
  checkCookie(findings, `${at}/httpCookie`, hash.httpCookie)
  if (hash.minimumRingSize !== undefined) {
    if (hash.ringHash !== undefined || hash.maglev !== undefined) {
      findings.error(CODE, `${at}/minimumRingSize`, 'minimumRingSize excludes ringHash and maglev')
    }
    findings.warning('schema/deprecated', `${at}/minimumRingSize`, 'minimumRingSize is deprecated', {
      istioCode: 'IST0002',
      remedy: 'Write ringHash: { minimumRingSize: … }.',
    })
  }
  const size = hash.maglev?.tableSize
  if (size !== undefined && (size >= MAGLEV_LIMIT || !isPrime(size))) {
    findings.error(
      CODE,
      `${at}/maglev/tableSize`,
      `a table's size is a prime number below ${MAGLEV_LIMIT}, found ${size}`,
    )
  }
}

function checkCookie(findings: Findings, at: string, cookie: ConsistentHashLB['httpCookie']): void {
  if (cookie === undefined) return
  if (cookie.name === '') findings.error(CODE, `${at}/name`, 'a cookie needs a name')
  const names = new Set<string>()
  for (const [index, { name }] of (cookie.attributes ?? []).entries()) {
    const attributeAt = `${at}/attributes/${index}/name`
    if (name === '') findings.error(CODE, attributeAt, 'an attribute needs a name')
    else if (names.has(name.toLowerCase())) findings.error(CODE, attributeAt, `the attribute "${name}" is listed twice`)
    names.add(name.toLowerCase())
  }
}

/** `size` is below 5,000,011, so there are at most about 1100 divisors to try. */
function isPrime(size: number): boolean {
  if (size < 2) return false
  for (let divisor = 2; divisor * divisor <= size; divisor++) {
    if (size % divisor === 0) return false
  }
  return true
}

function checkLocality(
  findings: Findings,
  at: string,
  setting: LocalityLoadBalancerSetting,
  hasOutlierDetection: boolean,
): void {
  const { distribute = [], failover = [], failoverPriority = [] } = setting
  if (distribute.length > 0 && (failover.length > 0 || failoverPriority.length > 0)) {
    const other = failover.length > 0 ? 'failover' : 'failoverPriority'
    findings.error(CODE, `${at}/${other}`, `distribute and ${other} exclude each other`)
  }
  if (
    failover.length > 0 &&
    failoverPriority.some((label) => label.split('=')[0] === 'topology.kubernetes.io/region')
  ) {
    findings.error(
      CODE,
      `${at}/failoverPriority`,
      'failover already orders regions: failoverPriority cannot list them too',
    )
  }
  const origins: string[] = []
  for (const [index, { from = '', to = {} }] of distribute.entries()) {
    const entryAt = `${at}/distribute/${index}`
    checkLocalities(findings, `${entryAt}/from`, [from], origins)
    origins.push(from)
    checkDistribution(findings, `${entryAt}/to`, to)
  }
  for (const [index, { from = '', to = '' }] of failover.entries()) {
    checkFailover(findings, `${at}/failover/${index}`, from, to)
  }
  if ((failover.length > 0 || failoverPriority.length > 0) && !hasOutlierDetection) {
    findings.warning(CODE, at, 'without outlierDetection no endpoint is ever found unhealthy, so nothing fails over', {
      remedy: 'Add outlierDetection.',
    })
  }
}

function checkDistribution(findings: Findings, at: string, to: Readonly<Record<string, number>>): void {
  const seen: string[] = []
  let sum = 0
  for (const [locality, weight] of Object.entries(to)) {
    const entryAt = `${at}/${pointerToken(locality)}`
    checkLocalities(findings, entryAt, [locality], seen)
    seen.push(locality)
    sum += weight
    if (weight < 1 || weight > 100) findings.error(CODE, entryAt, `a weight is from 1 to 100, found ${weight}`)
  }
  if (sum !== 100) findings.error(CODE, at, `the weights add up to ${sum}; they need to add up to 100`)
}

function checkFailover(findings: Findings, at: string, from: string, to: string): void {
  if (from === to) findings.error(CODE, at, `a region cannot fail over to itself ("${shorten(from)}")`)
  for (const [field, region] of [
    ['from', from],
    ['to', to],
  ] as const) {
    if (region === '' || region.includes('*') || region.includes('/')) {
      findings.error(CODE, `${at}/${field}`, `expected the name of a region, found "${shorten(region)}"`)
    }
  }
}

/** `region/zone/subzone`, from the left, with `*` as the last part; none may cover another one. */
function checkLocalities(
  findings: Findings,
  at: string,
  localities: readonly string[],
  earlier: readonly string[],
): void {
  for (const locality of localities) {
    const parts = locality.split('/')
    if (parts.length > 3 || parts.some((part) => part === '') || parts.slice(0, -1).includes('*')) {
      findings.error(
        CODE,
        at,
        `expected REGION/ZONE/SUBZONE, "*" as its last part perhaps; found "${shorten(locality)}"`,
      )
    }
    const other = earlier.find((candidate) => overlap(candidate, locality))
    if (other !== undefined) findings.error(CODE, at, `the localities "${other}" and "${locality}" overlap`)
  }
}

function overlap(a: string, b: string): boolean {
  const [left, right] = [a.split('/'), b.split('/')]
  for (let index = 0; index < Math.min(left.length, right.length); index++) {
    if (left[index] === '*' || right[index] === '*') return true
    if (left[index] !== right[index]) return false
  }
  return true
}
