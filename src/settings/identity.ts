/** The `identity:` part of `sluice.yaml`: where the gateway's certificate inside a mesh comes from. */
import { choice, duration, flag, group, optionalText, text } from './fields.ts'

const HOUR_MS = 3_600_000

export const identitySchema = group(
  'The certificate that this gateway presents inside a mesh (`ISTIO_MUTUAL`, auto mTLS). See [mesh.md](mesh.md).',
  {
    provider: choice(
      'Where it comes from: `istiod` has it issued by a CA that speaks as istiod does, `files` takes what somebody else keeps renewed in files, `off` has none.',
      ['off', 'files', 'istiod'],
      'off',
    ),
    certificateChainPath: text('`files`: certificate chain, leaf first.', '/etc/certs/cert-chain.pem'),
    privateKeyPath: text('`files`: its private key.', '/etc/certs/key.pem'),
    rootCertificatesPath: text('`files`: roots of the mesh.', '/etc/certs/root-cert.pem'),
    caAddress: text('`istiod`: the CA, `HOST:PORT`.', 'istiod.istio-system.svc:15012', { istioEnv: 'CA_ADDR' }),
    caServerName: optionalText(
      "`istiod`: the name that the CA's certificate has to be for.",
      'the host of `caAddress`',
      { istioEnv: 'ISTIOD_SAN' },
    ),
    caPlaintext: flag(
      "`istiod`: talks to the CA without TLS (istiod's port 15010). Whoever is on the way can then read the token and pose as the CA.",
      false,
    ),
    rootCertPath: text(
      "`istiod`: PEM roots that the CA's own certificate is verified with; `SYSTEM` takes the well-known ones. When the file changes, a new certificate is asked for.",
      '/var/run/secrets/istio/root-cert.pem',
      { istioEnv: 'CA_ROOT_CA' },
    ),
    tokenPath: text(
      '`istiod`: the Kubernetes token that proves who this gateway is, read anew for every request.',
      '/var/run/secrets/tokens/istio-token',
    ),
    serviceAccount: optionalText(
      '`istiod`: the service account in the SPIFFE id. A certificate for another one is refused.',
      'the one that the token is for',
      { istioEnv: 'SERVICE_ACCOUNT' },
    ),
    clusterId: optionalText('`istiod`: the cluster that the token is of.', "the CA's own", {
      istioEnv: 'ISTIO_META_CLUSTER_ID',
    }),
    secretTtl: duration(
      '`istiod`: how long the certificate is asked to be valid. It is renewed at half of that.',
      24 * HOUR_MS,
      '24h',
      { ms: 1000, text: '1s' },
      { istioEnv: 'SECRET_TTL' },
    ),
    keyType: choice('`istiod`: `ECDSA` is P-256, `RSA` has 2048 bits.', ['ECDSA', 'RSA'], 'ECDSA'),
  },
)
