/**
 * One order, from its hosts to a checked certificate. It is kept in the storage while it runs: whoever takes the work
 * on after a crash goes on with it, and costs the authority no second one.
 */
import type { AcmeDirectory, Authorization, Order } from './directory.ts'
import { issuanceWindows, orderWindow, refusedBudget, validationWindow } from './budget.ts'
import type { ChallengeAnswer } from './challenge-answer.ts'
import { answerOf, type ChosenChallenge, chooseChallenge, hostOf, type Possible, refusalOf } from './challenges.ts'
import { checkCertificate, type KeyPair } from './check.ts'
import type { DnsPublisher } from './dns/publisher.ts'
import type { Issuer } from './issuer.ts'
import { createKey, createSigningRequest } from './keys.ts'
import { AcmeProblem } from './problem.ts'
import type { AcmeStorage, BudgetWindow, Fence } from './storage.ts'

export interface OrderRequest {
  /** Under which it is kept, and locked. */
  readonly name: string
  readonly hosts: readonly string[]
  readonly answers: Possible['answers']
  /** Attempts that failed since the last success. */
  readonly attempt: number
  /** The hosts have a certificate already. */
  readonly isRenewal: boolean
  /** See {@link AcmeDirectory.createOrder}. */
  readonly replaces: string | null
}

export interface OrderDeps {
  readonly issuer: Issuer
  readonly account: string
  readonly directory: AcmeDirectory
  readonly storage: AcmeStorage
  readonly fence: Fence
  /** Null: nothing can be published. */
  readonly dns: DnsPublisher | null
  /** Has all workers of all replicas answer. */
  readonly present: (answers: readonly ChallengeAnswer[]) => Promise<void>
  readonly withdraw: (answers: readonly ChallengeAnswer[]) => Promise<void>
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** An order on its way. */
interface KeptOrder {
  readonly url: string
  readonly hosts: readonly string[]
  readonly accountUrl: string
  /** PEM, of the certificate. */
  readonly key: string
}

/** @throws AcmeProblem. */
export async function runOrder(request: OrderRequest, deps: OrderDeps): Promise<KeyPair> {
  const { issuer, directory, storage, fence } = deps
  const { order: placed, key } = (await resume(request, deps)) ?? (await place(request, deps))
  let order = placed
  if (order.status === 'pending') {
    await prove(await directory.authorizations(order), request, deps)
    order = await directory.order(order.url)
  }
  if (order.status === 'ready') {
    const { hosts, isRenewal, replaces } = request
    await spend(
      issuanceWindows(issuer, { account: deps.account, hosts, isRenewal, isAskedFor: replaces !== null }),
      deps,
    )
    order = await directory.finalize(order, await createSigningRequest(hosts, key))
  } else if (order.status === 'processing') {
    order = await directory.finished(order)
  }
  if (order.status !== 'valid') {
    await storage.remove('order', request.name, fence)
    throw new AcmeProblem('refused', `the order became ${order.status}${detailOf(order)}`)
  }
  const pair = { certificateChain: await directory.certificate(order, issuer.preferredChain), privateKey: key }
  await checkCertificate(pair, request.hosts, deps.now())
  return pair
}

/** The order that was under way when this gateway, or another one, ended. */
async function resume(request: OrderRequest, deps: OrderDeps): Promise<{ order: Order; key: string } | null> {
  const { storage, directory, fence } = deps
  const text = await storage.read('order', request.name)
  if (text === null) return null
  try {
    const kept = JSON.parse(text) as KeptOrder
    const isSame = kept.accountUrl === directory.accountUrl && kept.hosts.join() === request.hosts.join()
    const order = isSame ? await directory.order(kept.url) : null
    if (order !== null && order.status !== 'invalid') return { order, key: kept.key }
  } catch (error) {
    if (error instanceof AcmeProblem && error.kind !== 'refused') throw error
    // The authority has forgotten it, or the text is damaged: a new one it is.
  }
  await storage.remove('order', request.name, fence)
  return null
}

async function place(request: OrderRequest, deps: OrderDeps): Promise<{ order: Order; key: string }> {
  const { issuer, directory, storage, account, fence } = deps
  const { hosts, name, replaces } = request
  const key = await createKey(issuer.keyType)
  await spend([orderWindow(issuer, account)], deps)
  const order = await directory.createOrder(hosts, replaces)
  const kept: KeptOrder = { url: order.url, hosts, accountUrl: directory.accountUrl, key }
  await storage.write('order', name, JSON.stringify(kept), fence)
  return { order, key }
}

/** Proves all hosts that are not proved yet. @throws AcmeProblem that names those for which it failed. */
async function prove(all: readonly Authorization[], request: OrderRequest, deps: OrderDeps): Promise<void> {
  const { issuer, dns } = deps
  const possible = { kinds: issuer.challenges, answers: request.answers, canPublishDns: dns !== null }
  const chosen = all
    .filter(({ status }) => status === 'pending')
    .map((authorization) => chooseChallenge(authorization, possible, request.attempt))
  if (chosen.length === 0) return
  const windows = chosen.map(({ authorization }) => validationWindow(issuer, deps.account, hostOf(authorization)))
  await spend(windows, deps)
  const published = await publish(chosen, deps)
  try {
    const refusals = await Promise.all(chosen.map((one) => validate(one, deps)))
    const failed = refusals.filter((refusal) => refusal !== null)
    if (failed.length === 0) return
    await deps.storage.remove('order', request.name, deps.fence)
    throw new AcmeProblem('validation', failed.map(({ reason }) => reason).join('; '), {
      hosts: failed.map(({ host }) => host),
    })
  } finally {
    await published.withdraw()
  }
}

async function validate(
  { authorization, challenge, kind }: ChosenChallenge,
  { directory }: OrderDeps,
): Promise<{ readonly host: string; readonly reason: string } | null> {
  await directory.ready(challenge)
  const decided = await directory.decided(authorization)
  return decided.status === 'valid' ? null : { host: hostOf(authorization), reason: refusalOf(decided, kind) }
}

/** @returns What takes everything back again; it never rejects. */
async function publish(
  chosen: readonly ChosenChallenge[],
  deps: OrderDeps,
): Promise<{ readonly withdraw: () => Promise<void> }> {
  const answers: ChallengeAnswer[] = []
  const records: { readonly host: string; readonly value: string }[] = []
  for (const one of chosen) {
    const keyAuthorization = await deps.directory.keyAuthorization(one.challenge)
    if (one.kind === 'dns-01') records.push({ host: one.authorization.identifier.value, value: keyAuthorization })
    else answers.push(await answerOf(one, keyAuthorization, deps.now()))
  }
  const withdraw = async () => {
    // What stays behind is harmless, and expires.
    await Promise.allSettled([deps.withdraw(answers), deps.dns?.withdraw(records)])
  }
  try {
    if (answers.length > 0) await deps.present(answers)
    if (records.length > 0) await deps.dns?.publish(records)
  } catch (error) {
    await withdraw()
    throw error
  }
  return { withdraw }
}

async function spend(windows: readonly BudgetWindow[], { storage, now }: OrderDeps): Promise<void> {
  if (windows.length === 0) return
  const refusal = await storage.spend(windows, now())
  if (refusal !== null) throw refusedBudget(refusal, now())
}

function detailOf(order: Order): string {
  const { error } = order as { readonly error?: { readonly detail?: unknown } }
  return typeof error?.detail === 'string' ? `: ${error.detail}` : ''
}
