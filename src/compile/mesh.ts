/** Settings of the plan that hold for every listener. */
import type { Origin } from '../plan/problem.ts'
import type { AccessLogPlan, MeshPlan } from '../plan/plan.ts'
import type { CompileOptions, MeshOptions } from './options.ts'

/** Istio's name for its proxies in the `server` header. */
const SERVER_NAME = 'istio-envoy'

/** @param closedBy Security policies that are not understood. */
export function compileMesh({ mesh }: CompileOptions, closedBy: readonly Origin[]): MeshPlan {
  const { server, envoyDebugHeaders, attemptCount, requestId, xForwardedHost, xForwardedPort } = mesh.proxyHeaders
  return {
    accessLog: compileAccessLog(mesh),
    pathNormalization: mesh.pathNormalization === 'DEFAULT' ? 'BASE' : mesh.pathNormalization,
    trustedProxies: mesh.numTrustedProxies,
    forwardClientCertDetails:
      mesh.forwardClientCertDetails === 'UNDEFINED' ? 'SANITIZE_SET' : mesh.forwardClientCertDetails,
    serverHeader: server.disabled ? null : server.value || SERVER_NAME,
    envoyDebugHeaders: !envoyDebugHeaders.disabled,
    attemptCountHeader: !attemptCount.disabled,
    requestIdHeader: !requestId.disabled,
    forwardedHostHeader: xForwardedHost.enabled,
    forwardedPortHeader: xForwardedPort.enabled,
    preserveHeaderCase: mesh.proxyHeaders.preserveHttp1HeaderCase,
    shadowHostSuffix: mesh.shadowHostSuffix,
    http10: mesh.http10,
    requestBufferBytes: mesh.requestBufferBytes,
    closedBy,
  }
}

function compileAccessLog({
  accessLogFile: file,
  accessLogEncoding: encoding,
  accessLogFormat: format,
}: MeshOptions): AccessLogPlan | null {
  if (file === '') return null
  return format === '' ? { file, encoding } : { file, encoding, format }
}
