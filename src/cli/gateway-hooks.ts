/** What `run` and `demo` give to the gateway beside its settings. */
import type { Settings } from '../settings/load.ts'
import type { ReadyReport } from './ready.ts'

export interface GatewayHooks {
  /** Called once, when every listener of the first plan is bound. */
  readonly onReady: (report: ReadyReport) => void
  /** Said in the log at the start, each as a warning. */
  readonly notices: readonly string[]
}

/** Serves until a signal ends it. @returns The exit code. */
export type RunGateway = (settings: Settings, hooks: GatewayHooks) => Promise<number>
