/**
 * What the mesh settings say about all destinations, in Istio's own messages: checked as the same fields of a
 * DestinationRule are, once for each compiler.
 *
 * Source: api: mesh/v1alpha1/config.proto (`localityLbSetting`, `tcpKeepalive`, `defaultTrafficPolicy`).
 */
import type { Problem } from '../../plan/problem.ts'
import type { DestinationRule, LocalityLoadBalancerSetting, TrafficPolicy } from '../../resources/destination-rule.ts'
import { parseObject } from '../../resources/parse.ts'
import type { MeshOptions } from '../options.ts'
import type { TcpKeepalive } from './connection-pool.ts'

export interface MeshDefaults {
  /** Holds where a DestinationRule has none. Istio's is on and empty: distance decides, where there is outlier detection. */
  readonly localityLbSetting: LocalityLoadBalancerSetting
  readonly tcpKeepalive: TcpKeepalive | undefined
  /** Blocks that hold where no DestinationRule gives them. */
  readonly trafficPolicy: Pick<TrafficPolicy, 'connectionPool' | 'outlierDetection'>
  readonly problems: readonly Problem[]
}

export type MeshMessages = Pick<
  MeshOptions,
  'rootNamespace' | 'localityLbSetting' | 'tcpKeepalive' | 'defaultTrafficPolicy'
>

const POLICY = '/spec/trafficPolicy'

/** A message that is not right is left out, with the problems that it has. */
export function readMeshDefaults(mesh: MeshMessages): MeshDefaults {
  const { rootNamespace, localityLbSetting, tcpKeepalive, defaultTrafficPolicy } = mesh
  const problems: Problem[] = []
  const read = (field: string, value: object | null, where: string, wrap: (value: object) => object) => {
    if (value === null) return undefined
    const parsed = parseObject({
      apiVersion: 'networking.istio.io/v1',
      kind: 'DestinationRule',
      metadata: { name: 'mesh' },
      spec: { host: '*', trafficPolicy: wrap(value) },
    })
    for (const found of parsed.problems) problems.push(inMesh(found, rootNamespace, field, where))
    return (parsed.resource as DestinationRule | undefined)?.spec.trafficPolicy
  }
  // An outlier detection beside it, as whether there is one is up to the rules.
  const locality = read(
    'localityLbSetting',
    localityLbSetting,
    `${POLICY}/loadBalancer/localityLbSetting`,
    (value) => ({
      loadBalancer: { localityLbSetting: value },
      outlierDetection: {},
    }),
  )
  const keepalive = read('tcpKeepalive', tcpKeepalive, `${POLICY}/connectionPool/tcp/tcpKeepalive`, (value) => ({
    connectionPool: { tcp: { tcpKeepalive: value } },
  }))
  const trafficPolicy = read('defaultTrafficPolicy', defaultTrafficPolicy, POLICY, (value) => value)
  return {
    localityLbSetting: locality?.loadBalancer?.localityLbSetting ?? {},
    tcpKeepalive: keepalive?.connectionPool?.tcp?.tcpKeepalive,
    trafficPolicy: trafficPolicy ?? {},
    problems,
  }
}

function inMesh(found: Problem, namespace: string, field: string, where: string): Problem {
  const { pointer = '' } = found.origin
  const rest = pointer.startsWith(where) ? pointer.slice(where.length) : ''
  return { ...found, origin: { kind: 'MeshConfig', namespace, name: 'mesh', pointer: `/${field}${rest}` } }
}
