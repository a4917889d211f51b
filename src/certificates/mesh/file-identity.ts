/**
 * The mesh identity from files that somebody else renews: a mounted Secret, cert-manager's CSI driver, a VM's agent.
 *
 * Source: `istio: security/pkg/nodeagent/cache/secretcache.go` (file-mounted certificates).
 */
import type { MeshCertificate } from '../mesh-identity.ts'
import { type KeyPairMaterial, readKeyPair } from '../pem.ts'
import { readSmallFile } from '../watched-files.ts'
import { checkValidity, meshCertificate, readCertificates } from './check.ts'
import { IdentityHolder, type Time } from './identity-holder.ts'
import { type IdentityLog, IdentityReporter, type ManagedIdentity } from './managed-identity.ts'
import { asIdentityProblem, IdentityProblem } from './problem.ts'

export interface IdentityPaths {
  readonly certificateChain: string
  readonly privateKey: string
  readonly rootCertificates: string
}

export interface FileIdentityOptions extends Time {
  readonly paths: IdentityPaths
  readonly log: IdentityLog
  readonly timing?: Partial<FileIdentityTiming>
}

/** In ms. */
export interface FileIdentityTiming {
  /**
   * How often the three files are read. They are looked at and not watched: a certificate is renewed hours before it
   * expires, and reading sees every way of replacing a file (rename, a swapped symbolic link, a network file system).
   */
  readonly pollMs: number
  /** How long files that do not fit together may stay so before the log tells: they are renewed one after the other. */
  readonly graceMs: number
}

const TIMING: FileIdentityTiming = { pollMs: 2000, graceMs: 10_000 }

export function createFileIdentity(options: FileIdentityOptions): ManagedIdentity {
  const { paths, clock, timers } = options
  const { pollMs, graceMs } = { ...TIMING, ...options.timing }
  const reporter = new IdentityReporter(options.log, 'files')
  const holder = new IdentityHolder(options, (expired) => {
    reporter.expired(expired)
  })
  let problem: IdentityProblem | null = null
  let failingSince = 0
  /** The texts that the certificate in force was made of. */
  let inForce: readonly string[] = []
  let cancel: (() => void) | undefined

  function look(): void {
    try {
      const texts = [paths.certificateChain, paths.privateKey, paths.rootCertificates].map(readText)
      const current = holder.current()
      const isNew = current === null || texts.some((text, at) => text !== inForce[at])
      const certificate = isNew ? fromTexts(texts, paths, clock()) : current
      inForce = texts
      problem = null
      reporter.inForce(certificate, null, holder.set(certificate))
    } catch (error) {
      fail(asIdentityProblem(error, 'file'))
    }
  }

  function fail(found: IdentityProblem): void {
    if (problem === null) failingSince = timers.now()
    problem = found
    const current = holder.current()
    if (current === null || timers.now() - failingSince >= graceMs) reporter.problem(found, current)
  }

  function schedule(): void {
    cancel = timers.after(pollMs, () => {
      look()
      schedule()
    })
  }

  look()
  schedule()

  return {
    started: Promise.resolve(),
    current: () => holder.current(),
    onChange: (callback) => holder.onChange(callback),
    status: () => ({ provider: 'files', renewAt: null, problem: problem?.message ?? null }),
    close() {
      cancel?.()
      holder.close()
      return Promise.resolve()
    },
  }
}

function readText(path: string): string {
  try {
    return readSmallFile(path)
  } catch (error) {
    throw new IdentityProblem('file', (error as Error).message)
  }
}

/** @param now Milliseconds since 1970. */
function fromTexts(texts: readonly string[], paths: IdentityPaths, now: number): MeshCertificate {
  const [chainText = '', keyText = '', rootText = ''] = texts
  const chain = readCertificates(chainText, paths.certificateChain, 'file')
  const { privateKey } = keyPair(chainText, keyText, paths)
  for (const certificate of chain) checkValidity(certificate, now)
  const roots = readCertificates(rootText, paths.rootCertificates, 'file')
  return meshCertificate(chain, privateKey.reveal(), roots)
}

function keyPair(chainText: string, keyText: string, paths: IdentityPaths): KeyPairMaterial {
  try {
    return readKeyPair(chainText, keyText)
  } catch (error) {
    throw new IdentityProblem('file', `${paths.certificateChain}, ${paths.privateKey}: ${(error as Error).message}`)
  }
}
