/**
 * What upstreams are told about a token that was found to be good.
 *
 * Source: envoy: source/extensions/filters/http/jwt_authn/authenticator.cc (`handleGoodJwt`, `addJWTClaimToHeader`)
 * and verifier.cc (space delimited claims).
 */
import { claimAt } from '../exchange/claims.ts'
import type { VerifiedToken } from '../exchange/exchange.ts'
import type { JwtProviderPlan } from '../plan/jwt.ts'
import type { ParsedToken } from '../tokens/parse.ts'

/** Headers that the rule writes, and that therefore no client may send. */
export function outputHeaders({ outputPayloadToHeader, outputClaimToHeaders }: JwtProviderPlan): readonly string[] {
  const claims = outputClaimToHeaders.map(({ header }) => header)
  return outputPayloadToHeader === undefined ? claims : [outputPayloadToHeader, ...claims]
}

/** @returns Flat list of names and values. */
export function readOutputs(token: ParsedToken, plan: JwtProviderPlan): readonly string[] {
  const outputs: string[] = []
  if (plan.outputPayloadToHeader !== undefined) outputs.push(plan.outputPayloadToHeader, token.payload)
  for (const { header, claim } of plan.outputClaimToHeaders) {
    const value = headerText(claimAt(token.claims, claim))
    if (value !== '') outputs.push(header, value)
  }
  return outputs
}

/** Lists and objects have no text, nor has text that no header may hold: an issuer must not be able to add headers. */
function headerText(claim: unknown): string {
  if (typeof claim === 'boolean') return String(claim)
  if (typeof claim === 'number') return numberText(claim)
  if (typeof claim !== 'string' || /[\0-\x08\x0a-\x1f\x7f]/.test(claim)) return ''
  // Header lists hold bytes as Latin-1; the bytes are those of UTF-8.
  return Buffer.from(claim, 'utf8').toString('latin1').trim()
}

/** Whole numbers from 0 on as they are, all others with six decimals, as C++ prints them. */
function numberText(value: number): string {
  return Number.isInteger(value) && value >= 0 && value < 2 ** 64 ? BigInt(value).toString() : value.toFixed(6)
}

export function toVerified(token: ParsedToken, { spaceDelimitedClaims }: JwtProviderPlan): VerifiedToken {
  const azp = token.claims['azp']
  return {
    issuer: token.issuer,
    subject: token.subject,
    audiences: token.audiences,
    presenter: typeof azp === 'string' ? azp : '',
    claims: splitClaims(token.claims, spaceDelimitedClaims),
  }
}

function splitClaims(claims: ParsedToken['claims'], names: readonly string[]): ParsedToken['claims'] {
  const lists = names.flatMap((name): [string, unknown][] => {
    const value = claimAt(claims, [name])
    return typeof value === 'string' ? [[name, value.split(' ').filter((member) => member !== '')]] : []
  })
  return lists.length === 0 ? claims : Object.fromEntries([...Object.entries(claims), ...lists])
}
