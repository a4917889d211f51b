/** A TLS client that makes one handshake and asks once, and says what came of it. */
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import type { KeyPairFiles } from './certificates.ts'

export interface TlsAnswer {
  /** Empty: it was answered. */
  readonly error: string
  readonly status: number
  readonly body: string
  readonly protocol: string
  readonly cipher: string
  /** `EC` or `RSA`: the key of the certificate that was shown. */
  readonly keyType: string
  readonly names: string
  readonly resumed: boolean
  /** To come back with; undefined: none was given. */
  readonly session: Buffer | undefined
}

export interface TlsAsk extends ConnectionOptions {
  readonly port: number
  /** Host of the request; default: the server name. */
  readonly host?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly client?: KeyPairFiles
}

/** Resolves when the connection is closed, whoever closed it. */
export async function askTls({ port, host, path = '/', headers = {}, client, ...options }: TlsAsk): Promise<TlsAnswer> {
  const socket = connect({
    rejectUnauthorized: false,
    servername: 'app.test',
    ...options,
    ...(client === undefined ? {} : { cert: client.certificate, key: client.key }),
    port,
    host: '127.0.0.1',
  })
  let text = ''
  let error = ''
  let session: Buffer | undefined
  let shown: Pick<TlsAnswer, 'protocol' | 'cipher' | 'keyType' | 'names' | 'resumed'> = {
    protocol: '',
    cipher: '',
    keyType: '',
    names: '',
    resumed: false,
  }
  socket.setEncoding('utf8')
  socket.setTimeout(10_000, () => socket.destroy(new Error('nothing came')))
  socket.on('data', (data) => (text += String(data)))
  socket.on('error', (failure) => (error ||= (failure as NodeJS.ErrnoException).code ?? failure.message))
  socket.on('session', (given) => (session = given))
  socket.on('secureConnect', () => {
    shown = shownBy(socket)
    const lines = Object.entries({ host: host ?? options.servername ?? 'app.test', connection: 'close', ...headers })
    socket.write(`GET ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`)
  })
  await new Promise<void>((resolve) => socket.once('close', () => resolve()))
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0)
  const body = /\r\n\r\n([^]*)$/.exec(text)?.[1] ?? ''
  return { error: status === 0 ? error || 'closed' : '', status, body, session, ...shown }
}

function shownBy(socket: TLSSocket) {
  const certificate = socket.getPeerX509Certificate()
  return {
    protocol: socket.getProtocol() ?? '',
    cipher: socket.getCipher().name,
    keyType: (certificate?.publicKey.asymmetricKeyType ?? '').toUpperCase(),
    names: certificate?.subjectAltName ?? '',
    resumed: socket.isSessionReused(),
  }
}
