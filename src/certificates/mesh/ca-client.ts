/**
 * One call of istiod's CA: a certification request goes there, a certificate chain comes back.
 *
 * Sources: `istio: security/pkg/nodeagent/caclient/providers/citadel/client.go`, istio/api
 * `security/v1alpha1/ca.proto` for the names and numbers of the fields.
 */
import type { ChannelCredentials, ServiceError } from '@grpc/grpc-js'
import type { AnyDefinition, MethodDefinition } from '@grpc/proto-loader'
import { IdentityProblem } from './problem.ts'

export interface CaTarget {
  /** `HOST:PORT` */
  readonly address: string
  /** Name that the CA's certificate has to be for, where it is not the address's. */
  readonly serverName: string | null
  /** True: without TLS, so whoever is on the way reads the token. */
  readonly plaintext: boolean
  /** Longest time for one call, connecting included, in ms. */
  readonly timeoutMs: number
}

export interface SigningCall {
  /** PEM. */
  readonly signingRequest: string
  readonly token: string
  /** PEM bundle that the CA's own certificate is verified with; null: Node's own roots. */
  readonly caRoots: string | null
  readonly lifetimeSeconds: number
  /** Which cluster the token is of; empty: the CA's own. */
  readonly clusterId: string
  readonly signal: AbortSignal
}

/** @returns PEM texts: leaf, intermediates, and the root last. Throws an IdentityProblem. */
export type RequestCertificate = (call: SigningCall) => Promise<readonly string[]>

const SERVICE = 'istio.v1.auth.IstioCertificateService'
const METHOD = 'CreateCertificate'

/** The service as protobuf.js describes one. Fields of the request that a gateway does not use are left out. */
const DEFINITION = {
  nested: {
    'istio.v1.auth': {
      nested: {
        IstioCertificateRequest: {
          fields: { csr: { type: 'string', id: 1 }, validityDuration: { type: 'int64', id: 3 } },
        },
        IstioCertificateResponse: { fields: { certChain: { rule: 'repeated' as const, type: 'string', id: 1 } } },
        IstioCertificateService: {
          methods: {
            [METHOD]: {
              comment: 'Signs a request.',
              requestType: 'IstioCertificateRequest',
              responseType: 'IstioCertificateResponse',
            },
          },
        },
      },
    },
  },
}

interface Request {
  readonly csr: string
  readonly validityDuration: number
}

interface Response {
  readonly certChain: readonly string[]
}

const KIB = 1024
/** Bytes: a chain is some thousand. A longer reply ends the call. */
const MOST_REPLY_BYTES = 1024 * KIB

/**
 * Each call has a connection of its own: hours lie between two, and roots and CA may have changed meanwhile.
 *
 * The gRPC library is loaded by the first call, so that a gateway without a CA does not carry it.
 */
export function createCaClient(target: CaTarget): RequestCertificate {
  return async (call) => {
    const [grpc, { fromJSON }] = await Promise.all([import('@grpc/grpc-js'), import('@grpc/proto-loader')])
    // Its own lines would stand between the log's JSON; what goes wrong with a call is in the call's error.
    grpc.setLogVerbosity(grpc.logVerbosity.NONE)
    const { path, requestSerialize, responseDeserialize } = createCertificate(fromJSON(DEFINITION, { defaults: true }))
    const metadata = new grpc.Metadata()
    metadata.set('authorization', `Bearer ${call.token}`)
    metadata.set('clusterid', call.clusterId)
    const client = new grpc.Client(target.address, credentials(grpc.ChannelCredentials), {
      'grpc.enable_http_proxy': 0,
      'grpc.enable_retries': 0,
      'grpc.service_config_disable_resolution': 1,
      'grpc.max_receive_message_length': MOST_REPLY_BYTES,
      ...(target.serverName === null
        ? {}
        : { 'grpc.ssl_target_name_override': target.serverName, 'grpc.default_authority': target.serverName }),
    })
    const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>()
    const pending = client.makeUnaryRequest<Request, Response>(
      path,
      requestSerialize,
      responseDeserialize,
      { csr: call.signingRequest, validityDuration: call.lifetimeSeconds },
      metadata,
      { deadline: Date.now() + target.timeoutMs },
      (error, reply) => {
        if (error !== null) reject(problemOf(error, target))
        else resolve(reply?.certChain ?? [])
      },
    )
    const cancel = () => {
      pending.cancel()
    }
    call.signal.addEventListener('abort', cancel, { once: true })
    if (call.signal.aborted) cancel()
    try {
      return await promise
    } finally {
      call.signal.removeEventListener('abort', cancel)
      client.close()
    }

    function credentials(make: typeof ChannelCredentials): ChannelCredentials {
      if (target.plaintext) return make.createInsecure()
      try {
        return make.createSsl(call.caRoots === null ? null : Buffer.from(call.caRoots))
      } catch (error) {
        throw new IdentityProblem('trust-root', 'the roots for the CA cannot be used', (error as Error).message)
      }
    }
  }
}

function createCertificate(definition: Readonly<Record<string, AnyDefinition>>): MethodDefinition<Request, Response> {
  const service = definition[SERVICE] as unknown as Record<string, MethodDefinition<Request, Response>>
  return service[METHOD]!
}

/** gRPC status codes (the protocol's `statuscodes.md`) that mean something of their own here. */
const CODE = {
  cancelled: 1,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  unimplemented: 12,
  unavailable: 14,
  unauthenticated: 16,
} as const

/** How Node words a TLS handshake that did not come about because of the other side's certificate. */
const CERTIFICATE_TROUBLE = /certificate|altnames|CERT_/i
/** TLS spoken to a port that does not. */
const NO_TLS = /wrong version number|packet length too long|EPROTO/i

function problemOf({ code, details }: ServiceError, { address, plaintext }: CaTarget): IdentityProblem {
  switch (code) {
    case CODE.unavailable:
      if (!plaintext && CERTIFICATE_TROUBLE.test(details)) {
        return new IdentityProblem('untrusted-ca', `the certificate of the CA at ${address} is not trusted`, details)
      }
      if (!plaintext && NO_TLS.test(details)) {
        return new IdentityProblem('unreachable', `the CA at ${address} does not speak TLS`, details)
      }
      return new IdentityProblem('unreachable', `the CA at ${address} cannot be reached`, details)
    case CODE.deadlineExceeded:
    case CODE.cancelled:
      return new IdentityProblem('timeout', `the CA at ${address} did not answer in time`, details)
    case CODE.unauthenticated:
      return new IdentityProblem('unauthenticated', `the CA at ${address} does not accept the token`, details)
    case CODE.permissionDenied:
      return new IdentityProblem('denied', `the CA at ${address} does not sign for this token`, details)
    case CODE.invalidArgument:
      return new IdentityProblem('refused', `the CA at ${address} refuses the request`, details)
    case CODE.unimplemented:
      return new IdentityProblem('bad-reply', `what answers at ${address} is no CA of a mesh`, details)
    default:
      return new IdentityProblem('ca-error', `the CA at ${address} failed with gRPC status ${code}`, details)
  }
}
