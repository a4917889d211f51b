/**
 * Certificates made on the spot with the openssl command. The same demand gives the same certificate, so that a file of
 * tests makes each but once.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface KeyPairFiles {
  /** PEM. */
  readonly certificate: string
  /** PEM. */
  readonly key: string
  readonly certificateFile: string
  readonly keyFile: string
}

export interface Authority extends KeyPairFiles {
  readonly name: string
}

export interface LeafOptions {
  /** Default: valid for a month from now. `expired`: in January 2020 only. `future`: from 2090 on. */
  readonly validity?: 'now' | 'expired' | 'future'
  /** Another certificate for the same names. */
  readonly variant?: string
  /** Common name; default: none. */
  readonly commonName?: string
  /** Default: `ec`, P-256. */
  readonly key?: 'ec' | 'rsa'
}

/** RFC 5280 dates: the command takes them in this form. */
const PERIODS = {
  expired: ['20200101000000Z', '20200201000000Z'],
  future: ['20900101000000Z', '20910101000000Z'],
} as const

const CA_CONFIG = `[ca]
default_ca = own
[own]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
unique_subject = no
[any]
commonName = optional
`

export class TestCertificates {
  /** Holds everything; other files of a test may lie there too. */
  readonly folder = mkdtempSync(join(tmpdir(), 'certificates-'))
  readonly #made = new Map<string, KeyPairFiles>()

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** @param issuer Default: itself. */
  authority(name: string, issuer?: Authority): Authority {
    const files = this.#once(`authority ${name}`, (folder) => {
      openssl(
        folder,
        ['req', '-x509', ...NEW_KEY, '-days', '30', '-subj', `/CN=${name}`],
        issuer === undefined ? [] : ['-CA', issuer.certificateFile, '-CAkey', issuer.keyFile],
        ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
        ['-keyout', 'key.pem', '-out', 'certificate.pem'],
      )
      writeFileSync(join(folder, 'ca.conf'), CA_CONFIG)
      writeFileSync(join(folder, 'index.txt'), '')
    })
    return { name, ...files }
  }

  /** @param names Subject alternative names: DNS, IP, e-mail and URI are told apart by their form. */
  leaf(authority: Authority, names: readonly string[], options: LeafOptions = {}): KeyPairFiles {
    const { validity = 'now', commonName, key = 'ec' } = options
    return this.#once(JSON.stringify([authority.name, names, options]), (folder) => {
      const config = join(folder, 'leaf.conf')
      writeFileSync(config, leafConfig(names))
      const subject = commonName === undefined ? '/' : `/CN=${commonName}`
      const newKey = key === 'ec' ? NEW_KEY : ['-newkey', 'rsa:2048', '-noenc']
      const request = ['-config', config, ...newKey, '-subj', subject, '-keyout', 'key.pem']
      if (validity === 'now') {
        openssl(
          folder,
          ['req', '-x509', ...request, '-days', '30', '-extensions', 'own', '-out', 'certificate.pem'],
          ['-CA', authority.certificateFile, '-CAkey', authority.keyFile],
        )
        return
      }
      const [start, end] = PERIODS[validity]
      openssl(folder, ['req', '-new', ...request, '-out', 'request.pem'])
      ca(
        authority,
        ['-in', join(folder, 'request.pem'), '-out', join(folder, 'certificate.pem'), '-notext', '-subj', subject],
        ['-extfile', config, '-extensions', 'own', '-startdate', start, '-enddate', end],
      )
    })
  }

  /** A revocation list with all that were ever revoked, PEM. */
  revocationList(authority: Authority, revoked: readonly KeyPairFiles[]): string {
    for (const { certificateFile } of revoked) ca(authority, ['-revoke', certificateFile])
    const file = join(authority.certificateFile, '..', 'crl.pem')
    ca(authority, ['-gencrl', '-out', file])
    return readFileSync(file, 'utf8')
  }

  #once(key: string, make: (folder: string) => void): KeyPairFiles {
    const known = this.#made.get(key)
    if (known !== undefined) return known
    const folder = join(this.folder, String(this.#made.size))
    mkdirSync(folder)
    make(folder)
    const certificateFile = join(folder, 'certificate.pem')
    const keyFile = join(folder, 'key.pem')
    const made = {
      certificate: readFileSync(certificateFile, 'utf8'),
      key: readFileSync(keyFile, 'utf8'),
      certificateFile,
      keyFile,
    }
    this.#made.set(key, made)
    return made
  }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc']

function ca(authority: Authority, ...args: readonly string[][]): void {
  const folder = join(authority.certificateFile, '..')
  const own = ['-batch', '-config', 'ca.conf', '-cert', 'certificate.pem', '-keyfile', 'key.pem']
  openssl(folder, ['ca'], own, ...args)
}

function openssl(folder: string, ...groups: readonly string[][]): void {
  const args = groups.flat()
  const { status, stderr, error } = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8', timeout: 20_000 })
  if (status !== 0) throw new Error(`openssl ${args[0]} failed: ${error?.message ?? stderr}`)
}

/** Names have a section of their own, where a comma in one is nothing special. */
function leafConfig(names: readonly string[]): string {
  const numbered = names.map((name, index) => `${kindOf(name)}.${index} = ${name}`)
  return `[req]
distinguished_name = nothing
[nothing]
[own]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth,clientAuth
${names.length === 0 ? '' : 'subjectAltName = @names'}
[names]
${numbered.join('\n')}
`
}

function kindOf(name: string): string {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(name)) return 'URI'
  if (isIP(name) !== 0) return 'IP'
  return name.includes('@') ? 'email' : 'DNS'
}
