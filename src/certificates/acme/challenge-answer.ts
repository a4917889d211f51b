/** What a gateway shows an authority that looks whether it controls a host. Plain data: it travels to every worker. */

export type ChallengeAnswer = {
  /** Tells it from all others. */
  readonly id: string
  /** After this nobody asks any more, in ms since 1970: what a replica that died has left is forgotten then. */
  readonly expiresAt: number
} & (
  | {
      readonly kind: 'http-01'
      /** base64url. RFC 8555 section 8.3. */
      readonly token: string
      readonly keyAuthorization: string
    }
  | {
      readonly kind: 'tls-alpn-01'
      /** Lower case. RFC 8737. */
      readonly host: string
      /** PEM. */
      readonly certificate: string
      /** PEM. */
      readonly privateKey: string
    }
)
