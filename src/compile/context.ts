/** What the steps of the compiler, and the analyzers, look things up in. */
import type { Snapshot } from '../resources/snapshot.ts'
import type { DestinationRules } from './destinations/destination-rules.ts'
import type { PlacedServers } from './gateways/ports.ts'
import type { CompileOptions } from './options.ts'
import type { ServiceRegistry } from './services/registry.ts'
import type { BoundVirtualService } from './virtual-services.ts'
import type { Workload } from './workload.ts'

export interface CompileContext {
  readonly snapshot: Snapshot
  readonly options: CompileOptions
  readonly workload: Workload
  readonly placed: PlacedServers
  readonly registry: ServiceRegistry
  readonly rules: DestinationRules
  /** VirtualServices that route on this gateway, in the order in which their routes are tried. */
  readonly bound: readonly BoundVirtualService[]
}
