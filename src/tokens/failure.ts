/**
 * Every reason why a token is refused. The texts are what clients are told, in the words of Envoy's jwt_verify_lib
 * (src/status.cc), because dashboards and clients of Istio's users compare them.
 */

const TEXTS = {
  'bad-format': 'Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections',
  'header-base64': 'Jwt header is an invalid Base64url encoded',
  'header-json': 'Jwt header is an invalid JSON',
  'header-alg': 'Jwt header [alg] field is required and must be a string',
  'header-alg-unsupported': 'Jwt header [alg] is not supported',
  'header-kid': 'Jwt header [kid] field is not a string',
  'payload-base64': 'Jwt payload is an invalid Base64url encoded',
  'payload-json': 'Jwt payload is an invalid JSON',
  'payload-iss': 'Jwt payload [iss] field is not a string',
  'payload-sub': 'Jwt payload [sub] field is not a string',
  'payload-jti': 'Jwt payload [jti] field is not a string',
  'payload-iat': 'Jwt payload [iat] field is not an integer',
  'payload-nbf': 'Jwt payload [nbf] field is not an integer',
  'payload-exp': 'Jwt payload [exp] field is not an integer',
  'payload-iat-range': 'Jwt payload [iat] field is not a positive 64 bit integer',
  'payload-nbf-range': 'Jwt payload [nbf] field is not a positive 64 bit integer',
  'payload-exp-range': 'Jwt payload [exp] field is not a positive 64 bit integer',
  'payload-aud': 'Jwt payload [aud] field is not a string or string list',
  'signature-base64': 'Jwt signature is an invalid Base64url encoded',
  'signature-length': 'Jwt ED25519 signature is wrong length',
  'unknown-issuer': 'Jwt issuer is not configured',
  'not-yet-valid': 'Jwt not yet valid',
  expired: 'Jwt is expired',
  audience: 'Audiences in Jwt are not allowed',
  'no-matching-key': "Jwks doesn't have key to match kid or alg from Jwt",
  'bad-signature': 'Jwt verification fails',
  'keys-unavailable': 'Jwks remote fetch is failed',
  'no-valid-keys': "Jwks doesn't have any valid public key",
} as const

export type TokenFailure = keyof typeof TEXTS

/** What the client is told. */
export function failureText(failure: TokenFailure): string {
  return TEXTS[failure]
}
