/** An external authorizer over real gRPC, as `envoy.service.auth.v3` has it. */
import { join } from 'node:path'
import {
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader'

/** The request as protobuf's JSON names its fields. */
export interface SeenCheck {
  readonly attributes: {
    readonly source: { readonly address: { readonly socketAddress: { address: string; portValue: number } } }
    readonly destination: { readonly address: { readonly socketAddress: { address: string; portValue: number } } }
    readonly request: {
      readonly time: { readonly seconds: number; readonly nanos: number }
      readonly http: {
        readonly id: string
        readonly method: string
        readonly headers: Readonly<Record<string, string>>
        readonly path: string
        readonly host: string
        readonly scheme: string
        readonly size: number
        readonly protocol: string
        readonly body: string
        readonly rawBody: Buffer
      }
    }
  }
}

/** A CheckResponse as an object, a gRPC error, or nothing: it never answers. */
export type CheckAnswer = object | { readonly code: number; readonly details: string } | 'silence'

export interface GrpcAuthorizer {
  readonly port: number
  readonly seen: SeenCheck[]
  /** Authority and other metadata of the last call. */
  readonly authorities: string[]
  answer: (check: SeenCheck) => CheckAnswer
  stop(): void
}

/** @param tls Certificate and key, PEM; absent: plain text. @param port Default: any free one. */
export async function startGrpcAuthorizer(
  options: { readonly tls?: { certificate: string; key: string }; readonly port?: number } = {},
): Promise<GrpcAuthorizer> {
  const server = new Server()
  const definition = loadSync(join(import.meta.dirname, 'ext-authz.proto'), { longs: Number, defaults: true })
  const authorizer: GrpcAuthorizer = {
    port: 0,
    seen: [],
    authorities: [],
    answer: () => ({ status: { code: 0 } }),
    stop: () => {
      server.forceShutdown()
    },
  }
  server.addService(
    definition['envoy.service.auth.v3.Authorization'] as ServiceDefinition,
    {
      Check: (call: ServerUnaryCall<SeenCheck, object>, reply: sendUnaryData<object>) => {
        authorizer.seen.push(call.request)
        authorizer.authorities.push(call.getHost())
        const answer = authorizer.answer(call.request)
        if (answer === 'silence') return
        if ('code' in answer) reply(answer as { code: number; details: string })
        else reply(null, answer)
      },
    } as UntypedServiceImplementation,
  )
  const credentials =
    options.tls === undefined
      ? ServerCredentials.createInsecure()
      : ServerCredentials.createSsl(null, [
          { cert_chain: Buffer.from(options.tls.certificate), private_key: Buffer.from(options.tls.key) },
        ])
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${options.port ?? 0}`, credentials, (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })
  return Object.assign(authorizer, { port })
}
