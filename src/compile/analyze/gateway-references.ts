/** VirtualServices and the Gateways that they name: ones that do not exist, and ones that none of their hosts fits. */
import type { Problem } from '../../plan/problem.ts'
import type { Gateway } from '../../resources/gateway.ts'
import type { VirtualService } from '../../resources/virtual-service.ts'
import type { CompileContext } from '../context.ts'
import { listed, nameOf, problem } from '../findings.ts'
import { hostsForNamespace, readServer } from '../gateways/server.ts'
import { fullHost, intersectHosts } from '../hosts.ts'
import { gatewayReference, MESH } from '../routes/gateway-names.ts'

export function checkGatewayReferences({ snapshot, options }: CompileContext): Problem[] {
  const gateways = new Map(snapshot.gateways.map((gateway) => [nameOf(gateway), gateway]))
  return snapshot.virtualServices.flatMap((virtualService) => {
    const { metadata, spec } = virtualService
    return (spec.gateways ?? []).flatMap((written, i) => {
      const name = gatewayReference(written, metadata.namespace)
      if (name === MESH) return []
      const gateway = gateways.get(name)
      const pointer = `/spec/gateways/${i}`
      if (gateway === undefined) return [unknownGateway(virtualService, pointer, name, [...gateways.keys()])]
      return fits(virtualService, gateway, options.gateway.clusterDomain)
        ? []
        : [noCommonHost(virtualService, pointer, name)]
    })
  })
}

function unknownGateway(
  virtualService: VirtualService,
  pointer: string,
  name: string,
  known: readonly string[],
): Problem {
  const [, shortName] = name.split('/')
  const elsewhere = known.find((other) => other.endsWith(`/${shortName}`))
  return problem('error', virtualService, pointer, {
    code: 'virtual-service/unknown-gateway',
    istioCode: 'IST0101',
    message: `Gateway ${name} does not exist, so this VirtualService routes nothing there`,
    ...(elsewhere === undefined ? {} : { remedy: `Write ${elsewhere} if that one is meant.` }),
  })
}

function fits({ metadata, spec }: VirtualService, gateway: Gateway, clusterDomain: string): boolean {
  const hosts = (spec.hosts ?? []).map((host) => fullHost(host, metadata.namespace, clusterDomain))
  return (gateway.spec.servers ?? []).some((server, i) => {
    const own = hostsForNamespace(readServer(gateway, server, i), metadata.namespace)
    return intersectHosts(own, hosts).length > 0
  })
}

function noCommonHost(virtualService: VirtualService, pointer: string, name: string): Problem {
  return problem('warning', virtualService, pointer, {
    code: 'virtual-service/host-not-in-gateway',
    istioCode: 'IST0132',
    message: `no server of Gateway ${name} has a host for ${listed(virtualService.spec.hosts ?? [])}, so nothing is routed there`,
    remedy: 'Add the host to a server of the Gateway; a short name here means a Kubernetes service, not a public host.',
  })
}
