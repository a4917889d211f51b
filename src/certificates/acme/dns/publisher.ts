/** Publishes the TXT records of DNS-01 (RFC 8555 section 8.4), by one of the ways that an issuer's settings name. */
import { setTimeout as delay } from 'node:timers/promises'
import type { DnsPublishing } from '../issuer.ts'
import { runHook } from './hook.ts'
import { updateTxt } from './rfc2136.ts'

export interface DnsRecord {
  /** Without a wildcard. */
  readonly host: string
  /** What the authority looks for. Several records of one name stand beside each other. */
  readonly value: string
}

export interface DnsPublisher {
  /** @throws AcmeProblem. */
  publish(records: readonly DnsRecord[]): Promise<void>
  withdraw(records: readonly DnsRecord[]): Promise<void>
}

const LABEL = '_acme-challenge'

/** @param signal Ends all waiting. */
export function createDnsPublisher(settings: DnsPublishing, signal: AbortSignal): DnsPublisher {
  const change = async (action: 'present' | 'cleanup', { host, value }: DnsRecord): Promise<void> => {
    const name = `${LABEL}.${host}`
    if (settings.kind === 'hook') await runHook(settings, action, name, value)
    else await updateTxt(settings, action, name, value)
  }
  return {
    async publish(records) {
      for (const record of records) await change('present', record)
      if (settings.waitMs > 0) await delay(settings.waitMs, undefined, { signal })
    },
    async withdraw(records) {
      await Promise.allSettled(records.map((record) => change('cleanup', record)))
    },
  }
}
