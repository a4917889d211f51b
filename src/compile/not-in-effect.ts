/** Kinds of resources that are read and checked, and have no effect in this version. */
import type { Problem, Severity } from '../plan/problem.ts'
import type { Snapshot } from '../resources/snapshot.ts'
import { type Named, problem } from './findings.ts'
import type { CompileOptions } from './options.ts'
import type { Workload } from './workload.ts'

export function notInEffect(
  { telemetries, sidecars, peerAuthentications }: Pick<Snapshot, 'telemetries' | 'sidecars' | 'peerAuthentications'>,
  workload: Workload,
  { mesh, egress }: CompileOptions,
): Problem[] {
  const own = telemetries.filter(
    ({ metadata, spec }) =>
      [workload.namespace, mesh.rootNamespace].includes(metadata.namespace) &&
      workload.mayBeSelectedBy(spec.selector?.matchLabels),
  )
  // As in Istio: what servers of a Gateway take is in their `tls`. Policies of a whole namespace, or of the mesh, mean
  // its sidecars.
  const aimed = peerAuthentications.filter(
    ({ metadata, spec }) =>
      metadata.namespace === workload.namespace &&
      Object.keys(spec.selector?.matchLabels ?? {}).length > 0 &&
      workload.isSelectedBy(spec.selector?.matchLabels),
  )
  return [
    ...aimed.map((policy) =>
      problem('warning', policy, '/spec/selector', {
        code: 'peer-authentication/no-effect',
        istioCode: 'IST0167',
        message:
          "PeerAuthentication has no effect on a Gateway's servers: their tls.mode decides what clients have to show",
        remedy: 'Use tls.mode ISTIO_MUTUAL for servers that workloads of the mesh connect to.',
      }),
    ),
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
