/**
 * Whether this gateway should get traffic (ready) and whether it should be restarted (live). It is ready once its
 * listeners serve a first configuration, and until it drains; a bad configuration later does not change that, because
 * the last good one serves on.
 */

export type HealthState = 'starting' | 'ready' | 'draining'

export interface Health {
  state(): HealthState
  readonly isReady: () => boolean
  readonly isLive: () => boolean
  /** The first configuration serves. Without effect while draining. */
  markReady(): void
  /** For good: the process is about to end. */
  markDraining(): void
}

/** @param isLive False once nothing but a restart can help, for example when no worker stays alive. Default: always. */
export function createHealth(isLive: () => boolean = () => true): Health {
  let state: HealthState = 'starting'
  return {
    state: () => state,
    isReady: () => state === 'ready',
    isLive,
    markReady() {
      if (state === 'starting') state = 'ready'
    },
    markDraining() {
      state = 'draining'
    },
  }
}
