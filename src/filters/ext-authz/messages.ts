/**
 * The messages of `envoy.service.auth.v3.Authorization/Check`, as protobuf.js describes them. Fields that the gateway
 * neither fills in nor reads are left out.
 *
 * Names and numbers: envoy api/envoy/service/auth/v3/{external_auth,attribute_context}.proto,
 * config/core/v3/{base,address}.proto, type/v3/http_status.proto; google/rpc/status.proto.
 */
export const CHECK_PATH = '/envoy.service.auth.v3.Authorization/Check'

export interface CheckRequest {
  readonly attributes: {
    readonly source: Peer
    readonly destination: Peer
    readonly request: {
      readonly time: { readonly seconds: number; readonly nanos: number }
      readonly http: HttpRequest
    }
  }
}

export interface Peer {
  readonly address: { readonly socketAddress: { readonly address: string; readonly portValue: number } }
}

export interface HttpRequest {
  readonly id: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly path: string
  readonly host: string
  readonly scheme: string
  /** Bytes of the body; -1 where that is not known. */
  readonly size: number
  readonly protocol: string
  readonly body?: string
  readonly rawBody?: Buffer
}

/** As it is decoded: what was not sent is not there. */
export interface CheckResponse {
  readonly status?: { readonly code?: number }
  readonly deniedResponse?: {
    readonly status?: { readonly code?: number }
    readonly headers?: readonly HeaderValueOption[]
    readonly body?: string
  }
  readonly okResponse?: {
    readonly headers?: readonly HeaderValueOption[]
    readonly headersToRemove?: readonly string[]
    readonly responseHeadersToAdd?: readonly HeaderValueOption[]
    readonly queryParametersToSet?: readonly { readonly key?: string; readonly value?: string }[]
    readonly queryParametersToRemove?: readonly string[]
  }
}

export interface HeaderValueOption {
  readonly header?: { readonly key?: string; readonly value?: string; readonly rawValue?: Buffer }
  readonly append?: { readonly value?: boolean }
  readonly appendAction?: number
}

const repeated = 'repeated' as const
const text = (id: number) => ({ type: 'string', id })
const message = (type: string, id: number) => ({ type, id })
const headers = (id: number) => ({ rule: repeated, type: 'HeaderValueOption', id })

/** One package holds all of them: the names of messages are not on the wire, only that of the service is. */
const DEFINITION = {
  nested: {
    'envoy.service.auth.v3': {
      nested: {
        CheckRequest: { fields: { attributes: message('AttributeContext', 1) } },
        AttributeContext: {
          fields: { source: message('Peer', 1), destination: message('Peer', 2), request: message('Request', 4) },
        },
        Peer: { fields: { address: message('Address', 1) } },
        Address: { fields: { socketAddress: message('SocketAddress', 1) } },
        SocketAddress: { fields: { address: text(2), portValue: { type: 'uint32', id: 3 } } },
        Request: { fields: { time: message('Timestamp', 1), http: message('HttpRequest', 2) } },
        Timestamp: { fields: { seconds: { type: 'int64', id: 1 }, nanos: { type: 'int32', id: 2 } } },
        HttpRequest: {
          fields: {
            id: text(1),
            method: text(2),
            headers: { keyType: 'string', type: 'string', id: 3 },
            path: text(4),
            host: text(5),
            scheme: text(6),
            size: { type: 'int64', id: 9 },
            protocol: text(10),
            body: text(11),
            rawBody: { type: 'bytes', id: 12 },
          },
        },
        CheckResponse: {
          fields: {
            status: message('Status', 1),
            deniedResponse: message('DeniedHttpResponse', 2),
            okResponse: message('OkHttpResponse', 3),
          },
        },
        Status: { fields: { code: { type: 'int32', id: 1 } } },
        DeniedHttpResponse: { fields: { status: message('HttpStatus', 1), headers: headers(2), body: text(3) } },
        HttpStatus: { fields: { code: { type: 'int32', id: 1 } } },
        OkHttpResponse: {
          fields: {
            headers: headers(2),
            headersToRemove: { rule: repeated, ...text(5) },
            responseHeadersToAdd: headers(6),
            queryParametersToSet: { rule: repeated, ...message('QueryParameter', 7) },
            queryParametersToRemove: { rule: repeated, ...text(8) },
          },
        },
        HeaderValueOption: {
          fields: {
            header: message('HeaderValue', 1),
            append: message('BoolValue', 2),
            appendAction: { type: 'int32', id: 3 },
          },
        },
        HeaderValue: { fields: { key: text(1), value: text(2), rawValue: { type: 'bytes', id: 3 } } },
        BoolValue: { fields: { value: { type: 'bool', id: 1 } } },
        QueryParameter: { fields: { key: text(1), value: text(2) } },
        Authorization: {
          methods: { Check: { requestType: 'CheckRequest', responseType: 'CheckResponse' } },
        },
      },
    },
  },
}

export interface CheckCodec {
  encode(request: CheckRequest): Buffer
  /** @throws Error for bytes that are no such message. */
  decode(bytes: Buffer): CheckResponse
}

/** Loads the protobuf library, which a gateway without a gRPC authorizer does not need. */
export async function loadCheckCodec(): Promise<CheckCodec> {
  const { fromJSON } = await import('@grpc/proto-loader')
  const definition = fromJSON(DEFINITION as unknown as Parameters<typeof fromJSON>[0], { longs: Number })
  const service = definition['envoy.service.auth.v3.Authorization'] as unknown as {
    readonly Check: {
      readonly requestSerialize: (request: CheckRequest) => Buffer
      readonly responseDeserialize: (bytes: Buffer) => CheckResponse
    }
  }
  const { requestSerialize, responseDeserialize } = service.Check
  return { encode: requestSerialize, decode: responseDeserialize }
}
