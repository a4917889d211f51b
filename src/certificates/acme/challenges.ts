/** Which challenge proves a host, and how it is published: on every replica, or in the DNS. */
import acme, { type Authorization } from 'acme-client'
import type { ChallengeAnswer } from './challenge-answer.ts'
import type { ChallengeKind } from './issuer.ts'
import { AcmeProblem } from './problem.ts'

export type Challenge = Authorization['challenges'][number]

export interface ChosenChallenge {
  readonly authorization: Authorization
  readonly challenge: Challenge
  readonly kind: ChallengeKind
}

export interface Possible {
  /** In the order of preference. */
  readonly kinds: readonly ChallengeKind[]
  readonly answers: Readonly<Record<'http-01' | 'tls-alpn-01', boolean>>
  readonly canPublishDns: boolean
}

/** What was published for an authority that is gone is forgotten after so long, in ms. */
const ANSWER_LIFE_MS = 15 * 60_000

/**
 * @param attempt Counts attempts that failed: each takes the next kind that is possible.
 * @throws AcmeProblem where no kind is possible.
 */
export function chooseChallenge(authorization: Authorization, possible: Possible, attempt: number): ChosenChallenge {
  const { identifier, challenges } = authorization
  const host = hostOf(authorization)
  const kinds = possible.kinds.filter((kind) => {
    if (!challenges.some(({ type }) => type === kind)) return false
    return kind === 'dns-01' ? possible.canPublishDns : possible.answers[kind] && authorization.wildcard !== true
  })
  const kind = kinds[attempt % Math.max(1, kinds.length)]
  const challenge = challenges.find(({ type }) => type === kind)
  if (kind !== undefined && challenge !== undefined) return { authorization, challenge, kind }
  const offered = challenges.map(({ type }) => type).join(', ')
  throw new AcmeProblem(
    'settings',
    `no challenge is possible for ${host}: the issuer's settings allow ${possible.kinds.join(', ')}, the authority offers ${offered}` +
      `${possible.answers['http-01'] ? '' : ', no Gateway server takes plain HTTP on port 80'}` +
      `${possible.answers['tls-alpn-01'] ? '' : ', none HTTPS on port 443'}` +
      `${possible.canPublishDns ? '' : ', and dns is not set'}`,
    { hosts: [authorization.wildcard === true ? `*.${identifier.value}` : identifier.value] },
  )
}

/** The host that was ordered: the authority takes the wildcard off it. */
export function hostOf({ identifier, wildcard }: Authorization): string {
  return wildcard === true ? `*.${identifier.value}` : identifier.value
}

/** What a gateway shows. @param now Milliseconds since 1970. */
export async function answerOf(
  { authorization, challenge, kind }: ChosenChallenge,
  keyAuthorization: string,
  now: number,
): Promise<ChallengeAnswer> {
  const base = { id: `${kind} ${challenge.token}`, expiresAt: now + ANSWER_LIFE_MS }
  if (kind === 'http-01') return { ...base, kind, token: challenge.token, keyAuthorization }
  if (kind !== 'tls-alpn-01') throw new Error(`${kind} is not answered by a listener`)
  const [privateKey, certificate] = await acme.crypto.createAlpnCertificate(authorization, keyAuthorization)
  return {
    ...base,
    kind,
    host: authorization.identifier.value.toLowerCase(),
    certificate: String(certificate),
    privateKey: String(privateKey),
  }
}

/** Why the authority did not accept a host, in its own words. */
export function refusalOf(authorization: Authorization, kind: ChallengeKind): string {
  const challenge = authorization.challenges.find(({ type }) => type === kind) as
    { readonly error?: { readonly detail?: unknown } } | undefined
  const detail = challenge?.error?.detail
  return `${hostOf(authorization)} (${kind}): ${typeof detail === 'string' ? detail : authorization.status}`
}
