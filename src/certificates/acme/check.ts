/** Looks at a new certificate before it takes the old one's place: chain, key, hosts, time, and a real handshake. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { duplexPair } from 'node:stream'
import { checkServerIdentity, connect, createSecureContext, type PeerCertificate, TLSSocket } from 'node:tls'
import { AcmeProblem } from './problem.ts'

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
const HANDSHAKE_MS = 5000

export interface KeyPair {
  /** PEM, leaf first. */
  readonly certificateChain: string
  /** PEM. */
  readonly privateKey: string
}

/** The certificates of a PEM text, in its order. @throws AcmeProblem where there is none, or one cannot be read. */
export function readChain(pem: string): X509Certificate[] {
  try {
    const chain = (pem.match(PEM_CERTIFICATE) ?? []).map((text) => new X509Certificate(text))
    if (chain.length > 0) return chain
  } catch (error) {
    throw refuse(`it cannot be read: ${(error as Error).message}`)
  }
  throw refuse('there is no PEM certificate in it')
}

/**
 * @param now Milliseconds since 1970.
 * @throws AcmeProblem with what is wrong.
 */
export async function checkCertificate(pair: KeyPair, hosts: readonly string[], now: number): Promise<void> {
  const chain = readChain(pair.certificateChain)
  const leaf = chain[0]!
  checkKey(leaf, pair.privateKey)
  checkOrder(chain)
  checkTime(leaf, now)
  const missing = hosts.filter((host) => !certifies(leaf, host))
  if (missing.length > 0) throw refuse(`it is not for ${missing.join(', ')}`)
  await handshake(pair, chain, hosts[0]!)
}

/** Whether the certificate names the host; a wildcard only where it names that wildcard. */
export function certifies(leaf: X509Certificate, host: string): boolean {
  const names = (leaf.subjectAltName ?? '').split(', ').map((name) => name.replace(/^DNS:/, '').toLowerCase())
  return names.includes(host) || (!host.startsWith('*.') && leaf.checkHost(host) !== undefined)
}

function checkKey(leaf: X509Certificate, privateKey: string): void {
  let matches = false
  try {
    matches = leaf.checkPrivateKey(createPrivateKey(privateKey))
  } catch {
    throw refuse('its private key cannot be read')
  }
  if (!matches) throw refuse('it is for another key')
}

function checkOrder(chain: readonly X509Certificate[]): void {
  for (const [index, certificate] of chain.slice(0, -1).entries()) {
    const issuer = chain[index + 1]!
    if (!certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey)) {
      throw refuse(`certificate ${index + 2} of its chain did not issue certificate ${index + 1}`)
    }
  }
}

function checkTime(leaf: X509Certificate, now: number): void {
  const { validFromDate, validToDate } = leaf
  if (validFromDate.getTime() > now) {
    throw refuse(`it is valid from ${validFromDate.toISOString()} on; is the clock of this machine right?`)
  }
  if (validToDate.getTime() <= now) throw refuse(`it has expired on ${validToDate.toISOString()}`)
}

/** As a listener and its client would make it, over a pair of pipes; the end of the chain is all that is trusted. */
async function handshake(pair: KeyPair, chain: readonly X509Certificate[], host: string): Promise<void> {
  const [serverSide, clientSide] = duplexPair()
  const secureContext = createSecureContext({ cert: pair.certificateChain, key: pair.privateKey })
  const server = new TLSSocket(serverSide as never, { isServer: true, secureContext })
  const name = host.replace(/^\*/, 'any')
  const client = connect({
    socket: clientSide as never,
    servername: name,
    ca: chain.at(-1)!.toString(),
    allowPartialTrustChain: true,
    checkServerIdentity: (_, certificate: PeerCertificate) => checkServerIdentity(name, certificate),
  })
  const timer = setTimeout(() => client.destroy(new Error('no handshake in time')), HANDSHAKE_MS)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      client.once('error', reject)
      client.once('secureConnect', resolve)
    })
  } catch (error) {
    throw refuse(`a handshake with it fails: ${(error as Error).message}`)
  } finally {
    clearTimeout(timer)
    client.destroy()
    server.destroy()
  }
}

function refuse(what: string): AcmeProblem {
  return new AcmeProblem('certificate', `the certificate that was issued cannot be used: ${what}`)
}
