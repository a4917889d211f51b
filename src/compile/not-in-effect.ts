/** Kinds of resources that are read and checked, and have no effect in this version. */
import type { Problem, Severity } from '../plan/problem.ts'
import type { Snapshot } from '../resources/snapshot.ts'
import { type Named, problem } from './findings.ts'
import type { CompileOptions } from './options.ts'
import type { Workload } from './workload.ts'

export function notInEffect(
  { telemetries, sidecars }: Pick<Snapshot, 'telemetries' | 'sidecars'>,
  workload: Workload,
  { mesh, egress }: CompileOptions,
): Problem[] {
  const own = telemetries.filter(
    ({ metadata, spec }) =>
      [workload.namespace, mesh.rootNamespace].includes(metadata.namespace) &&
      workload.mayBeSelectedBy(spec.selector?.matchLabels),
  )
  return [
    ...own.map((telemetry) =>
      ineffective('warning', telemetry, 'the mesh settings decide what is logged and measured'),
    ),
    // The explicit egress proxy goes by them.
    ...(egress === null ? sidecars : []).map((sidecar) =>
      ineffective('info', sidecar, 'a gateway sees every exported service'),
    ),
  ]
}

function ineffective(severity: Severity, resource: Named, consequence: string): Problem {
  return problem(severity, resource, '', {
    code: 'resource/not-in-effect',
    message: `${resource.kind} is not in effect in this version: ${consequence}`,
  })
}
