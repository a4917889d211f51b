/** What is kept of a certificate and of the attempts to get one, as text in the storage. */
import type { X509Certificate } from 'node:crypto'
import { type KeyPair, readChain } from './check.ts'
import { AcmeProblem } from './problem.ts'

/** A certificate that was issued. */
export interface CertificateRecord extends KeyPair {
  readonly issuer: string
  /** URL of the directory that it is from: an issuer of that name may be another one tomorrow. */
  readonly directory: string
  readonly leaf: X509Certificate
}

/** Attempts since the last one that got everything. */
export interface AttemptRecord {
  /** That the attempts were for: for other hosts they mean nothing. */
  readonly hosts: readonly string[]
  readonly failures: number
  /** Not before this, in ms since 1970. */
  readonly nextAt: number
  readonly error: string
}

export function writeCertificate({ issuer, directory, certificateChain, privateKey }: CertificateRecord): string {
  return JSON.stringify({ issuer, directory, certificateChain, privateKey })
}

/** @throws AcmeProblem where the text is no certificate. */
export function readCertificate(text: string): CertificateRecord {
  const { issuer, directory, certificateChain, privateKey } = parse(text)
  if (typeof certificateChain !== 'string' || typeof privateKey !== 'string') throw damaged()
  const leaf = readChain(certificateChain)[0]!
  return { issuer: String(issuer), directory: String(directory), certificateChain, privateKey, leaf }
}

/** @returns Null where the text is damaged: then there were no attempts. */
export function readAttempts(text: string | null): AttemptRecord | null {
  if (text === null) return null
  try {
    const { hosts, failures, nextAt, error } = parse(text)
    const isWhole = Array.isArray(hosts) && typeof failures === 'number' && typeof nextAt === 'number'
    return isWhole ? { hosts: hosts.map(String), failures, nextAt, error: String(error) } : null
  } catch {
    return null
  }
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>
  } catch {
    // Said below.
  }
  throw damaged()
}

function damaged(): AcmeProblem {
  return new AcmeProblem('storage', 'it is damaged in the storage')
}
