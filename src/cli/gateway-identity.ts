/** Who this gateway is: in metrics, and in X-Forwarded-For in place of a loopback peer. */
import { networkInterfaces } from 'node:os'
import { identityOf, type MeshIdentity } from '../observability/mesh-identity.ts'
import type { Settings } from '../settings/load.ts'

type Environment = Readonly<Record<string, string | undefined>>

export function meshIdentity(settings: Settings, env: Environment): MeshIdentity {
  const labels = settings.labels ?? {}
  const cluster = env['ISTIO_META_CLUSTER_ID']
  const identity = identityOf(labels, settings.namespace, env['ISTIO_META_WORKLOAD_NAME'] ?? 'sluice')
  return { ...identity, ...(cluster === undefined ? {} : { cluster }), principal: 'unknown' }
}

/** The pod's address where Kubernetes tells it, else the machine's first one that is not loopback. */
export function ownAddress(env: Environment): string {
  const told = env['POD_IP'] ?? env['INSTANCE_IP']
  if (told !== undefined && told !== '') return told
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  const outside = addresses.filter(({ internal }) => !internal)
  return (outside.find(({ family }) => family === 'IPv4') ?? outside[0])?.address ?? '127.0.0.1'
}
