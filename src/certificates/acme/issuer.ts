/** An authority as the settings describe it. */
import type { Redacted } from '../../lib/redacted.ts'

export type KeyType = 'ec-256' | 'ec-384' | 'rsa-2048' | 'rsa-3072' | 'rsa-4096'
export type ChallengeKind = 'http-01' | 'tls-alpn-01' | 'dns-01'

export interface Issuer {
  readonly name: string
  /** URL of the directory. */
  readonly directory: string
  readonly email: string | null
  readonly keyType: KeyType
  readonly preferredChain: string | null
  /** File of PEM roots for the directory; null: the system's. */
  readonly caBundle: string | null
  /** In the order in which they are tried. */
  readonly challenges: readonly ChallengeKind[]
  readonly eab: ExternalAccountBinding | null
  /** Null: no record can be published, and so no wildcard ordered. */
  readonly dns: DnsPublishing | null
  readonly limits: IssuerLimits
}

export interface ExternalAccountBinding {
  readonly kid: string
  readonly hmacKey: Redacted | { readonly file: string }
}

export type DnsPublishing = (
  | {
      readonly kind: 'rfc2136'
      readonly host: string
      readonly port: number
      /** Null: the server is asked. */
      readonly zone: string | null
      /** Null: updates are not signed. */
      readonly tsig: TsigKey | null
    }
  | { readonly kind: 'hook'; readonly program: string }
) & { readonly timeoutMs: number; readonly waitMs: number }

export interface TsigKey {
  readonly name: string
  readonly algorithm: 'hmac-sha1' | 'hmac-sha256' | 'hmac-sha384' | 'hmac-sha512'
  readonly secret: Redacted | { readonly file: string }
}

export interface IssuerLimits {
  readonly accountsPer3Hours: number
  readonly ordersPer3Hours: number
  readonly sameHostsPerWeek: number
  readonly domainPerWeek: number
  readonly validationsPerHostPerHour: number
}
