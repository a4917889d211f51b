/**
 * References to Gateways.
 *
 * Source: istio: pilot/pkg/model/virtualservice.go (`resolveGatewayName`).
 */

/** Stands for the sidecars, and so for no gateway. */
export const MESH = 'mesh'

/**
 * `NAMESPACE/NAME` for any way to write a Gateway's name in a VirtualService: `name`, `./name`, `ns/name`, and the old
 * `name.ns.svc.domain`. `mesh` stays as it is.
 */
export function gatewayReference(written: string, namespace: string): string {
  if (written === MESH) return MESH
  const slash = written.indexOf('/')
  if (slash !== -1) return written.startsWith('./') ? `${namespace}/${written.slice(2)}` : written
  const [name = '', own] = written.split('.')
  return `${own ?? namespace}/${name}`
}
