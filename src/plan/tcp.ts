/** Routes of connections whose bytes are passed on as they are: one decision a connection. */
import type { Origin } from './problem.ts'

export interface TcpDestination {
  /** Name of the cluster. It may be missing from the plan: connections are then closed, `NC`. */
  readonly cluster: string
  /** Share is weight / sum of weights. Only destinations that can be chosen are listed. */
  readonly weight: number
}

export interface TcpRoutePlan {
  /** The rule that this came from. */
  readonly origin: Origin
  /** At least one; with exactly one its weight does not matter. */
  readonly destinations: readonly TcpDestination[]
}

/** TLS that is not ended here: which clients it is for, by what they say in their ClientHello, and where it goes. */
export interface PassthroughPlan {
  /** `GATEWAY-NAMESPACE/GATEWAY/PORT-NAME`, for messages. */
  readonly name: string
  /** Exact names, `*.suffix`, or `*` for every client, those without SNI too. */
  readonly serverNames: readonly string[]
  /** `ADDRESS/BITS`: the address that the client connected to has to be in one of them. Absent: it may be any. */
  readonly destinationSubnets?: readonly string[]
  /** The client has to offer one of these protocols. Absent: it need not offer any. */
  readonly alpn?: readonly string[]
  readonly route: TcpRoutePlan
}
