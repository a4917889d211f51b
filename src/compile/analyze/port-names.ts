/** Ports of Kubernetes Services whose names tell no protocol: they are taken for HTTP/1.1. */
import type { Problem } from '../../plan/problem.ts'
import type { CompileContext } from '../context.ts'
import { problem } from '../findings.ts'
import { protocolOfName } from '../services/kubernetes.ts'

export function checkPortNames({ snapshot }: CompileContext): Problem[] {
  return snapshot.services.flatMap((service) =>
    (service.spec.ports ?? []).flatMap(({ name = '', port, appProtocol }, i) => {
      if (appProtocol !== undefined || protocolOfName(name) !== undefined) return []
      return [
        problem('info', service, `/spec/ports/${i}/name`, {
          code: 'service/port-name',
          istioCode: 'IST0118',
          message: `the name ${name === '' ? 'of' : `"${name}" of`} port ${port} tells no protocol, so it is taken for HTTP/1.1`,
          remedy: 'Name it PROTOCOL or PROTOCOL-SUFFIX, for example http-web or grpc, or set appProtocol.',
        }),
      ]
    }),
  )
}
