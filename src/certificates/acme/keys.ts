/** Keys and signing requests of certificates, and certificates that stand in while there is none. */
import { generateKeyPair, X509Certificate } from 'node:crypto'
import { promisify } from 'node:util'
import acme from 'acme-client'
import type { KeyPair } from './check.ts'
import type { KeyType } from './issuer.ts'

const generate = promisify(generateKeyPair)
const DAY_MS = 86_400_000
/** Long enough that nobody has to look after it; it is replaced by the first real one. */
const STAND_IN_DAYS = 30

/** A new private key as PEM (PKCS #8). */
export async function createKey(type: KeyType): Promise<string> {
  const [kind, size = ''] = type.split('-')
  const { privateKey } =
    kind === 'ec'
      ? await generate('ec', { namedCurve: `P-${size}` })
      : await generate('rsa', { modulusLength: Number(size) })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}

/** A signing request as PEM, with the hosts as alternative names and no subject. */
export async function createSigningRequest(hosts: readonly string[], privateKey: string): Promise<string> {
  const [, csr] = await acme.crypto.createCsr({ altNames: [...hosts] }, privateKey)
  return String(csr)
}

/** A certificate that nobody trusts, for hosts that have none yet. @param now Milliseconds since 1970. */
export async function createStandIn(hosts: readonly string[], now: number): Promise<KeyPair> {
  const { X509CertificateGenerator, SubjectAlternativeNameExtension, BasicConstraintsExtension } =
    await import('@peculiar/x509')
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      name: 'CN=Sluice: no certificate has been issued yet',
      notBefore: new Date(now - DAY_MS),
      notAfter: new Date(now + STAND_IN_DAYS * DAY_MS),
      keys,
      signingAlgorithm: algorithm,
      extensions: [
        new BasicConstraintsExtension(false),
        new SubjectAlternativeNameExtension(hosts.map((value) => ({ type: 'dns' as const, value }))),
      ],
    },
    crypto,
  )
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey))
  const base64 = der.toString('base64').replace(/.{64}/g, '$&\n').trim()
  const privateKey = `-----BEGIN PRIVATE KEY-----\n${base64}\n-----END PRIVATE KEY-----\n`
  return { certificateChain: new X509Certificate(Buffer.from(certificate.rawData)).toString(), privateKey }
}
