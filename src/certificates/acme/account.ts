/** The account with an authority: made once, kept in the storage, made anew where the authority no longer has it. */
import { createHash, generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { Redacted } from '../../lib/redacted.ts'
import { AcmeDirectory } from './directory.ts'
import type { Issuer } from './issuer.ts'
import { AcmeProblem } from './problem.ts'
import { type AcmeStorage, isHeld, type StorageLock } from './storage.ts'
import type { Transport } from './transport.ts'
import { accountWindow, refusedBudget } from './budget.ts'

export interface AccountDeps {
  readonly storage: AcmeStorage
  readonly transport: Transport
  readonly lockMs: number
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly signal: AbortSignal
  readonly log: { warn(fields: object, message: string): void; info(fields: object, message: string): void }
}

interface SavedAccount {
  readonly directory: string
  readonly url: string
  /** PEM. */
  readonly key: string
  readonly email: string | null
}

/** Another replica that makes the account is waited for so long between two looks, in ms. */
const LOOK_MS = 200

/** The same for all replicas: a hash of what makes an account another one. */
export function accountId({ directory, eab }: Pick<Issuer, 'directory' | 'eab'>): string {
  return createHash('sha256')
    .update(`${directory}\n${eab?.kid ?? ''}`)
    .digest('hex')
    .slice(0, 16)
}

/**
 * The authority, ready to be asked with the account that is kept; where there is none it is made.
 *
 * @throws AcmeProblem.
 */
export async function openAccount(issuer: Issuer, deps: AccountDeps): Promise<AcmeDirectory> {
  const saved = await readAccount(issuer, deps)
  if (saved?.email === issuer.email) return connect(issuer, saved, deps)
  return locked(issuer, deps, async (lock) => {
    const found = await readAccount(issuer, deps)
    if (found === null) return create(issuer, deps, lock)
    const directory = connect(issuer, found, deps)
    if (found.email !== issuer.email) {
      await directory.updateContact(issuer.email)
      await saveAccount(issuer, { ...found, email: issuer.email }, deps, lock)
    }
    return directory
  })
}

/**
 * A new account in the place of one that the authority has forgotten or shut.
 *
 * @param lost The account that was in use: where another replica has replaced it already, that one is taken.
 */
export async function replaceAccount(issuer: Issuer, lost: AcmeDirectory, deps: AccountDeps): Promise<AcmeDirectory> {
  return locked(issuer, deps, async (lock) => {
    const found = await readAccount(issuer, deps)
    if (found !== null && found.url !== lost.accountUrl) return connect(issuer, found, deps)
    deps.log.warn(
      { issuer: issuer.name, account: found?.url },
      'the authority no longer takes the account: a new one is made',
    )
    return create(issuer, deps, lock)
  })
}

async function create(issuer: Issuer, deps: AccountDeps, lock: StorageLock): Promise<AcmeDirectory> {
  const refusal = await deps.storage.spend([accountWindow(issuer, accountId(issuer))], deps.now())
  if (refusal !== null) throw refusedBudget(refusal, deps.now())
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  const eab =
    issuer.eab === null
      ? null
      : { kid: issuer.eab.kid, hmacKey: await secretText(issuer.eab.hmacKey, 'eab.hmacKeyFile') }
  const { directory, email } = issuer
  const client = new AcmeDirectory({ ...deps, directory, accountKey: key, accountUrl: null, eab })
  let url: string
  try {
    url = await client.register(email)
  } catch (error) {
    throw new AcmeProblem(
      error instanceof AcmeProblem ? error.kind : 'refused',
      `no account could be made: ${(error as Error).message}`,
      error instanceof AcmeProblem && error.retryAfterMs !== null ? { retryAfterMs: error.retryAfterMs } : {},
    )
  }
  await saveAccount(issuer, { directory, url, key, email }, deps, lock)
  deps.log.info({ issuer: issuer.name, account: url }, 'an account with the authority was made')
  return client
}

function connect({ directory }: Issuer, { key, url }: SavedAccount, deps: AccountDeps): AcmeDirectory {
  return new AcmeDirectory({ ...deps, directory, accountKey: key, accountUrl: url, eab: null })
}

async function readAccount(issuer: Issuer, { storage }: AccountDeps): Promise<SavedAccount | null> {
  const text = await storage.read('account', accountId(issuer))
  if (text === null) return null
  try {
    return JSON.parse(text) as SavedAccount
  } catch {
    throw new AcmeProblem('storage', `the account of issuer ${issuer.name} in the storage is damaged`)
  }
}

async function saveAccount(
  issuer: Issuer,
  account: SavedAccount,
  { storage }: AccountDeps,
  { fence }: StorageLock,
): Promise<void> {
  await storage.write('account', accountId(issuer), JSON.stringify(account), fence)
}

async function locked<T>(issuer: Issuer, deps: AccountDeps, work: (lock: StorageLock) => Promise<T>): Promise<T> {
  const name = `account/${accountId(issuer)}`
  for (;;) {
    const lock = await deps.storage.lock(name, deps.lockMs)
    if (isHeld(lock)) {
      await delay(Math.min(LOOK_MS, lock.heldForMs), undefined, { signal: deps.signal })
      continue
    }
    try {
      return await work(lock)
    } finally {
      await lock.release()
    }
  }
}

/** A secret of the settings, or the file that holds it. @throws AcmeProblem where that cannot be read. */
export async function secretText(secret: Redacted | { readonly file: string }, setting: string): Promise<string> {
  if (secret instanceof Redacted) return secret.reveal()
  try {
    return (await readFile(secret.file, 'utf8')).trim()
  } catch (error) {
    throw new AcmeProblem('settings', `${setting} ${secret.file} cannot be read: ${(error as Error).message}`)
  }
}
