/**
 * Limits of our own below those of an authority. They are counted in the storage before anything is asked for, so a
 * gateway that crashes and starts again in a loop, or many replicas, spend from one budget.
 *
 * Let's Encrypt's limits, as far as an account can reach them: 300 new orders in 3 h, 50 certificates for a registered
 * domain and 5 for exactly the same hosts in 7 days, 5 failed validations of a host in 1 h, 10 new accounts of an
 * address in 3 h (https://letsencrypt.org/docs/rate-limits/).
 */
import { getDomain } from 'tldts'
import type { Issuer } from './issuer.ts'
import { AcmeProblem } from './problem.ts'
import type { BudgetRefusal, BudgetWindow } from './storage.ts'

const HOUR_MS = 3_600_000
const WEEK_MS = 7 * 24 * HOUR_MS

type Limits = Pick<Issuer, 'limits'>

export function accountWindow({ limits }: Limits, account: string): BudgetWindow {
  return { key: `accounts ${account}`, limit: limits.accountsPer3Hours, windowMs: 3 * HOUR_MS }
}

/** To be spent before an order is placed. */
export function orderWindow({ limits }: Limits, account: string): BudgetWindow {
  return { key: `orders ${account}`, limit: limits.ordersPer3Hours, windowMs: 3 * HOUR_MS }
}

/** To be spent before the authority is told to look at a host: every look may fail. */
export function validationWindow({ limits }: Limits, account: string, host: string): BudgetWindow {
  return { key: `validations ${account} ${host}`, limit: limits.validationsPerHostPerHour, windowMs: HOUR_MS }
}

export interface Issuance {
  readonly account: string
  readonly hosts: readonly string[]
  /** The hosts have a certificate already: authorities do not count its renewal against the domain. */
  readonly isRenewal: boolean
  /** The authority itself asked for the renewal (ARI), and does not count it against the hosts either. */
  readonly isAskedFor: boolean
}

/** To be spent before an order is finalized: what follows is a certificate. */
export function issuanceWindows({ limits }: Limits, issuance: Issuance): BudgetWindow[] {
  const { account, hosts, isRenewal, isAskedFor } = issuance
  const windows: BudgetWindow[] = []
  const set = [...hosts].sort().join(' ')
  if (!isAskedFor) windows.push({ key: `hosts ${account} ${set}`, limit: limits.sameHostsPerWeek, windowMs: WEEK_MS })
  if (isRenewal) return windows
  for (const domain of new Set(hosts.map(registeredDomain))) {
    windows.push({ key: `domain ${account} ${domain}`, limit: limits.domainPerWeek, windowMs: WEEK_MS })
  }
  return windows
}

export function refusedBudget({ key, retryAt }: BudgetRefusal, now: number): AcmeProblem {
  const [kind = '', , ...rest] = key.split(' ')
  const what = rest.length === 0 ? '' : ` for ${rest.join(', ')}`
  return new AcmeProblem(
    'budget',
    `the local budget of ${kind}${what} is used up until ${new Date(retryAt).toISOString()}; see limits of the issuer`,
    { retryAfterMs: Math.max(0, retryAt - now) },
  )
}

/** What a registrar sells (`example.co.uk`), by the public suffix list; for names outside of it the name itself. */
function registeredDomain(host: string): string {
  const name = host.replace(/^\*\./, '')
  return getDomain(name, { allowPrivateDomains: true }) ?? name
}
