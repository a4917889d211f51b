/** The primary's own look at all certificates of the plan, for status and `certs`; see certificate-watch.ts. */
import { getCACertificates } from 'node:tls'
import { CertificateWatch } from '../certificates/certificate-watch.ts'
import { MaterialStore } from '../certificates/material-store.ts'
import { systemTimers } from '../lib/timers.ts'
import type { Logger } from '../observability/logger.ts'

/** As in the workers. */
const POLL_MS = 5000
const SETTLE_MS = 200

export function watchCertificates(log: Logger): { readonly watch: CertificateWatch; close(): void } {
  const materials = new MaterialStore({
    timers: systemTimers(),
    now: Date.now,
    pollMs: POLL_MS,
    settleMs: SETTLE_MS,
    mesh: null,
    systemRoots: () => getCACertificates('system'),
    report: (material, problem) => {
      if (problem === '') log.info({ material }, 'certificate can be used again')
      else log.error({ material, problem }, 'certificate cannot be used as it is')
    },
  })
  const watch = new CertificateWatch({
    materials,
    later: (run) => {
      setImmediate(run).unref()
    },
  })
  return {
    watch,
    close: () => {
      watch.close()
      materials.close()
    },
  }
}
