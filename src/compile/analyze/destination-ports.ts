/** Destinations that name no port although their service has several: the server's port number is used then. */
import type { Problem } from '../../plan/problem.ts'
import type { Destination, VirtualService } from '../../resources/virtual-service.ts'
import type { CompileContext } from '../context.ts'
import { listed, problem } from '../findings.ts'
import { fullHost } from '../hosts.ts'

export function checkDestinationPorts({ snapshot, registry, options }: CompileContext): Problem[] {
  return snapshot.virtualServices.flatMap((virtualService) =>
    destinationsOf(virtualService).flatMap(({ destination, pointer }) => {
      if (destination.port?.number) return []
      const host = fullHost(destination.host, virtualService.metadata.namespace, options.gateway.clusterDomain)
      const ports = registry.services.get(host)?.ports ?? []
      if (ports.length < 2) return []
      return [
        problem('error', virtualService, pointer, {
          code: 'virtual-service/port-required',
          istioCode: 'IST0112',
          message: `service ${host} has ports ${listed(ports.map(({ number }) => String(number)))} and none is named here`,
          remedy: 'Set destination.port.number.',
        }),
      ]
    }),
  )
}

function destinationsOf({ spec }: VirtualService): { destination: Destination; pointer: string }[] {
  return (spec.http ?? []).flatMap(({ route = [], mirror, mirrors = [] }, i) => [
    ...route.map(({ destination }, j) => ({ destination, pointer: `/spec/http/${i}/route/${j}/destination` })),
    ...(mirror === undefined ? [] : [{ destination: mirror, pointer: `/spec/http/${i}/mirror` }]),
    ...mirrors.flatMap(({ destination }, j) =>
      destination === undefined ? [] : [{ destination, pointer: `/spec/http/${i}/mirrors/${j}/destination` }],
    ),
  ])
}
