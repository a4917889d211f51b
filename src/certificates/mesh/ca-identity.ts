/**
 * The mesh identity that istiod's CA issues: a key made here, renewed with its certificate at half of its life.
 *
 * Sources: `istio: security/pkg/nodeagent/cache/secretcache.go` (`rotateTime`), `pkg/security/security.go`
 * (`SecretRotationGracePeriodRatio` 0.5, jitter 0.01), `pkg/security/retry.go` (100 ms, doubling).
 */
import type { KeyObject } from 'node:crypto'
import type { MeshCertificate } from '../mesh-identity.ts'
import { readSmallFile } from '../watched-files.ts'
import type { RequestCertificate } from './ca-client.ts'
import { chainsTo, checkKey, checkValidity, meshCertificate, readCertificates, spiffeIdOf } from './check.ts'
import { IdentityHolder, type Time } from './identity-holder.ts'
import { type IdentityLog, IdentityReporter, type ManagedIdentity } from './managed-identity.ts'
import { asIdentityProblem, IdentityProblem } from './problem.ts'
import { createKeyPair, createSigningRequest, type KeyType } from './signing-request.ts'
import { serviceAccountOf, spiffeId } from './spiffe.ts'

export interface CaIdentityOptions extends Time {
  readonly request: RequestCertificate
  readonly trustDomain: string
  readonly namespace: string
  /** Null: the one that the token is for. */
  readonly serviceAccount: string | null
  /** Read for every request: Kubernetes renews the token in it. */
  readonly tokenPath: string
  /** Roots for the connection to the CA, read for every request; null: Node's own. */
  readonly caRootsPath: string | null
  /** How long the certificate is asked to be valid, in ms. */
  readonly lifetimeMs: number
  readonly keyType: KeyType
  readonly clusterId: string
  /** 0 to 1, 1 excluded. */
  readonly random: () => number
  readonly log: IdentityLog
  readonly timing?: Partial<CaIdentityTiming>
}

export interface CaIdentityTiming {
  /** The certificate is renewed when this share of its life is left, 0 to 1, more or less by `jitter`. */
  readonly gracePeriodRatio: number
  readonly jitter: number
  /** The first wait after a failure, in ms; it doubles with each up to the last, more or less by a tenth. */
  readonly firstRetryMs: number
  readonly lastRetryMs: number
  /** How often it is looked whether something is due, in ms; the file of the roots is read as often. */
  readonly tickMs: number
  /** New roots in the file mean that the CA has changed: a certificate is asked for within so many ms. */
  readonly rootSpreadMs: number
}

const TIMING: CaIdentityTiming = {
  gracePeriodRatio: 0.5,
  jitter: 0.01,
  firstRetryMs: 100,
  lastRetryMs: 60_000,
  tickMs: 10_000,
  rootSpreadMs: 5000,
}

const RETRY_JITTER = 0.1

export function createCaIdentity(options: CaIdentityOptions): ManagedIdentity {
  const { clock, timers, random } = options
  const timing = { ...TIMING, ...options.timing }
  const reporter = new IdentityReporter(options.log, 'istiod')
  const holder = new IdentityHolder(options, (expired) => {
    reporter.expired(expired)
  })
  const ending = new AbortController()
  let problem: IdentityProblem | null = null
  let failures = 0
  /** By the clock of the certificates: it is their life that ends. */
  let renewAt: number | null = null
  /** By the timers' clock, which nobody sets. */
  let retryAt = 0
  let rootsInUse: string | null = null
  let cancel: (() => void) | undefined

  async function renew(): Promise<void> {
    const asked = clock()
    try {
      const { certificate, caRoots } = await issue(options, ending.signal)
      if (ending.signal.aborted) return
      const spread = timing.gracePeriodRatio + timing.jitter * (2 * random() - 1)
      const due = certificate.notAfter - (certificate.notAfter - asked) * spread
      // A CA that gives out certificates of no length is not asked without a pause either.
      renewAt = Math.max(due, clock() + timing.firstRetryMs)
      rootsInUse = caRoots
      failures = 0
      problem = null
      reporter.inForce(certificate, renewAt, holder.set(certificate))
    } catch (error) {
      if (ending.signal.aborted) return
      problem = asIdentityProblem(error, 'ca-error')
      const wait = Math.min(timing.lastRetryMs, timing.firstRetryMs * 2 ** Math.min(failures, 30))
      retryAt = timers.now() + wait * (1 + RETRY_JITTER * (2 * random() - 1))
      failures++
      reporter.problem(problem, holder.current())
    }
  }

  /** Milliseconds until a certificate has to be asked for; below 0: it is overdue. */
  function dueIn(): number {
    if (failures > 0) return retryAt - timers.now()
    return renewAt === null ? 0 : renewAt - clock()
  }

  function lookForNewRoots(path: string, due: number): void {
    let roots: string
    try {
      roots = readSmallFile(path)
    } catch {
      return // It matters when it is needed: the next request tells.
    }
    if (roots === rootsInUse) return
    rootsInUse = roots
    renewAt = Math.min(due, clock() + timing.rootSpreadMs * random())
  }

  async function turn(): Promise<void> {
    const { caRootsPath } = options
    if (caRootsPath !== null && renewAt !== null && failures === 0) lookForNewRoots(caRootsPath, renewAt)
    if (dueIn() <= 0) await renew()
  }

  function schedule(): void {
    if (ending.signal.aborted) return
    cancel = timers.after(Math.min(Math.max(0, dueIn()), timing.tickMs), () => void turn().then(schedule))
  }

  const started = renew().then(schedule)

  return {
    started,
    current: () => holder.current(),
    onChange: (callback) => holder.onChange(callback),
    status: () => ({
      provider: 'istiod',
      renewAt: renewAt === null && failures === 0 ? null : clock() + Math.max(0, dueIn()),
      problem: problem?.message ?? null,
    }),
    async close() {
      ending.abort()
      cancel?.()
      holder.close()
      await started
    },
  }
}

/** A new key and its certificate, checked. @throws IdentityProblem. */
async function issue(
  options: CaIdentityOptions,
  signal: AbortSignal,
): Promise<{ readonly certificate: MeshCertificate; readonly caRoots: string | null }> {
  const { tokenPath, caRootsPath, trustDomain, namespace } = options
  const token = readToken(tokenPath)
  const caRoots = caRootsPath === null ? null : readCaRoots(caRootsPath)
  const serviceAccount = options.serviceAccount ?? serviceAccountOf(token)
  if (serviceAccount === undefined) {
    throw new IdentityProblem('token', `the token in ${tokenPath} names no service account, and no setting does`)
  }
  const wanted = spiffeId({ trustDomain, namespace, serviceAccount })
  const keys = await createKeyPair(options.keyType)
  const texts = await options.request({
    signingRequest: createSigningRequest(keys, wanted),
    token,
    caRoots,
    lifetimeSeconds: Math.ceil(options.lifetimeMs / 1000),
    clusterId: options.clusterId,
    signal,
  })
  if (texts.length < 2) throw new IdentityProblem('bad-reply', 'the reply of the CA has no certificate chain in it')
  const chain = readCertificates(texts.slice(0, -1).join('\n'), 'the reply of the CA', 'bad-reply')
  const roots = readCertificates(texts.at(-1) ?? '', 'the reply of the CA', 'bad-reply')
  const leaf = chain[0]!
  const now = options.clock()
  checkKey(leaf, keys.privateKey)
  const issued = spiffeIdOf(leaf)
  if (issued !== wanted) {
    const found = issued ?? 'no SPIFFE id, or other names beside it'
    throw new IdentityProblem('wrong-identity', `the CA's certificate is for ${found}, not for ${wanted}`)
  }
  for (const certificate of chain) checkValidity(certificate, now)
  if (!chainsTo(leaf, chain.slice(1), roots, now)) {
    throw new IdentityProblem('untrusted-chain', 'the certificate does not chain to the root that came with it')
  }
  return { certificate: meshCertificate(chain, pemOf(keys.privateKey), roots), caRoots }
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string
}

function readToken(path: string): string {
  const token = readText(path, 'token').trim()
  // Anything else could not be sent as a header.
  if (/^[\x21-\x7e]+$/.test(token)) return token
  throw new IdentityProblem('token', `there is no token in ${path}`)
}

function readCaRoots(path: string): string {
  const text = readText(path, 'trust-root')
  readCertificates(text, path, 'trust-root')
  return text
}

function readText(path: string, kind: 'token' | 'trust-root'): string {
  try {
    return readSmallFile(path)
  } catch (error) {
    throw new IdentityProblem(kind, (error as Error).message)
  }
}
