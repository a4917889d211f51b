/** A certificate authority like istiod's, over real gRPC: checks the token, verifies the request, signs a certificate. */
import { execFile } from 'node:child_process'
import { createPublicKey, type KeyObject } from 'node:crypto'
import { join } from 'node:path'
import {
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader'
import { type Authority, createAuthority, createKeys, pemOfKey, signCertificate } from './mesh-certificates.ts'

/** One request as it came. */
export interface SeenRequest {
  readonly csr: string
  readonly validitySeconds: number
  readonly authorization: string
  readonly clusterId: string
}

export interface MeshCaBehaviour {
  /** Signs. */
  authority: Authority
  /** From whoever signed the authority's certificate to the root; empty: it is the root. */
  parents: readonly Authority[]
  /** Token → SPIFFE id, as TokenReview tells istiod. */
  readonly tokens: Map<string, string>
  /** Overrides what was asked for, in seconds. */
  validitySeconds: number | null
  /** Takes the place of the answer. */
  answer: ((publicKey: KeyObject, call: SeenRequest) => AnswerOverride) | null
}

export type AnswerOverride =
  | { readonly chain: readonly string[] }
  | { readonly code: number; readonly details: string }
  /** Never answers. */
  | 'silence'

export interface MeshCa extends MeshCaBehaviour {
  readonly port: number
  readonly address: string
  readonly seen: readonly SeenRequest[]
  stop(): void
}

export const CA_NAME = 'istiod.istio-system.svc'

interface Request {
  readonly csr: string
  readonly validity_duration: string
}

interface Reply {
  readonly cert_chain: readonly string[]
}

/** @param tls False: plain text. @param port Default: any free one. */
export async function startMeshCa(
  options: { readonly tls?: boolean; readonly port?: number; readonly root?: Authority } = {},
): Promise<MeshCa> {
  const root = options.root ?? createAuthority('root')
  const seen: SeenRequest[] = []
  const behaviour: MeshCaBehaviour = {
    authority: root,
    parents: [],
    tokens: new Map(),
    validitySeconds: null,
    answer: null,
  }
  const server = new Server()
  const definition = loadSync(join(import.meta.dirname, 'istio-ca.proto'), { keepCase: true, longs: String })
  server.addService(
    definition['istio.v1.auth.IstioCertificateService'] as ServiceDefinition,
    {
      CreateCertificate: (call: ServerUnaryCall<Request, Reply>, reply: sendUnaryData<Reply>) => {
        const request: SeenRequest = {
          csr: call.request.csr,
          validitySeconds: Number(call.request.validity_duration),
          authorization: String(call.metadata.get('authorization')[0] ?? ''),
          clusterId: String(call.metadata.get('clusterid')[0] ?? ''),
        }
        seen.push(request)
        void answer(behaviour, request).then(
          (result) => {
            if (result === 'silence') return
            if ('chain' in result) reply(null, { cert_chain: result.chain })
            else reply(result)
          },
          (error: Error) => {
            reply({ code: status.INTERNAL, details: error.message })
          },
        )
      },
    } as UntypedServiceImplementation,
  )
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(
      `127.0.0.1:${options.port ?? 0}`,
      options.tls === false ? ServerCredentials.createInsecure() : tlsCredentials(root),
      (error, bound) => {
        if (error === null) resolve(bound)
        else reject(error)
      },
    )
  })
  return Object.assign(behaviour, {
    port,
    address: `127.0.0.1:${port}`,
    seen,
    stop() {
      server.forceShutdown()
    },
  })
}

function tlsCredentials(root: Authority): ServerCredentials {
  const { publicKey, privateKey } = createKeys()
  const certificate = signCertificate(root, { publicKey, dnsNames: [CA_NAME] })
  return ServerCredentials.createSsl(null, [
    { cert_chain: Buffer.from(certificate), private_key: Buffer.from(pemOfKey(privateKey)) },
  ])
}

async function answer(ca: MeshCaBehaviour, request: SeenRequest): Promise<AnswerOverride> {
  const id = ca.tokens.get(request.authorization.replace(/^Bearer /, ''))
  if (id === undefined) return { code: status.UNAUTHENTICATED, details: 'request authenticate failure' }
  const publicKey = await verifiedKey(request.csr)
  if (ca.answer !== null) return ca.answer(publicKey, request)
  const seconds = ca.validitySeconds ?? request.validitySeconds
  const leaf = signCertificate(ca.authority, { publicKey, uris: [id], notAfter: Date.now() + seconds * 1000 })
  return { chain: [leaf, ...[ca.authority, ...ca.parents].map(({ certificate }) => certificate)] }
}

/** The key of a request whose signature OpenSSL has verified. */
async function verifiedKey(csr: string): Promise<KeyObject> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const child = execFile('openssl', ['req', '-verify', '-noout', '-pubkey'], (error, stdout) => {
    if (error === null) resolve(stdout)
    else reject(error)
  })
  child.stdin?.end(csr)
  return createPublicKey(await promise)
}
