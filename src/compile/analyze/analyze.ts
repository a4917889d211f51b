/** Findings about configuration that works, perhaps not as its author meant. One file for each kind of finding. */
import type { Problem } from '../../plan/problem.ts'
import type { CompileContext } from '../context.ts'
import { distinct } from '../findings.ts'
import { checkClaims } from './claims.ts'
import { checkConflictingGateways } from './conflicting-gateways.ts'
import { checkDestinationPorts } from './destination-ports.ts'
import { checkDestinationRules } from './destination-rules.ts'
import { checkGatewayReferences } from './gateway-references.ts'
import { checkPortNames } from './port-names.ts'
import { checkShadowedRoutes } from './shadowed-routes.ts'

type Analyzer = (context: CompileContext) => Problem[]

const ANALYZERS: readonly Analyzer[] = [
  checkConflictingGateways,
  checkGatewayReferences,
  checkDestinationPorts,
  checkShadowedRoutes,
  checkDestinationRules,
  checkPortNames,
  checkClaims,
]

/** @returns Problems in the order of the analyzers, and in each of them of the resources. */
export function analyze(context: CompileContext): Problem[] {
  return distinct(ANALYZERS.flatMap((analyzer) => analyzer(context)))
}
