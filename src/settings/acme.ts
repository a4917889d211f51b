/** The `acme:` part of `sluice.yaml`: authorities that certificates are ordered from by themselves. See docs/tls.md. */
import { isLabel } from '../lib/names.ts'
import { choice, choices, duration, group, groupMap, optionalText, whole } from './fields.ts'
import { httpsUrl, secretKey } from './special.ts'

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS

/** Reads as "no limit" for an authority of one's own. */
const MOST = 1_000_000

const eab = group('External account binding, where the authority knows its customers by one.', {
  kid: optionalText('Key identifier that the authority gave out.', 'none: the authority asks for no binding'),
  hmacKey: secretKey('Its HMAC key.'),
  hmacKeyFile: optionalText('A file that holds the HMAC key, instead of `hmacKey`.', 'none'),
})

const dns = group(
  'How DNS-01 challenges are published: by dynamic updates (RFC 2136) to `server`, or by a program, `hook`. A wildcard host needs one of the two.',
  {
    server: optionalText(
      'Primary server of the zone, `HOST` or `HOST:PORT`, which takes updates (RFC 2136). Over TCP.',
      'none',
    ),
    zone: optionalText('Zone that is updated.', 'what `server` itself answers to SOA questions'),
    keyName: optionalText('Name of the TSIG key (RFC 8945).', 'none: updates are not signed'),
    keyAlgorithm: choice(
      'Algorithm of the TSIG key.',
      ['hmac-sha256', 'hmac-sha384', 'hmac-sha512', 'hmac-sha1'],
      'hmac-sha256',
    ),
    key: secretKey('The TSIG key.'),
    keyFile: optionalText('A file that holds the TSIG key, instead of `key`.', 'none'),
    hook: optionalText(
      'A program that is run as `HOOK present NAME VALUE` and, when the answer has been looked at, `HOOK cleanup NAME VALUE`. It gets no environment but `PATH`.',
      'none',
    ),
    timeout: duration('Longest time for one update or one run of the hook.', 60 * SECOND_MS, '60s', {
      ms: SECOND_MS,
      text: '1s',
    }),
    wait: duration(
      'Time between publishing a record and telling the authority, for secondary servers to follow.',
      10 * SECOND_MS,
      '10s',
      { ms: 0, text: '0s' },
    ),
  },
)

const limits = group(
  "A budget of one's own below the authority's limits, counted in the shared storage before each request, so that neither a crash loop nor many replicas can reach those. The defaults stay below Let's Encrypt's.",
  {
    accountsPer3Hours: whole('New accounts.', 3, { least: 1, most: MOST }),
    ordersPer3Hours: whole('Orders of the account.', 250, { least: 1, most: MOST }),
    sameHostsPerWeek: whole(
      'Certificates with exactly the same hosts, renewals that the authority asked for aside.',
      4,
      {
        least: 1,
        most: MOST,
      },
    ),
    domainPerWeek: whole('Certificates for hosts of one registered domain (`example.co.uk`), renewals aside.', 45, {
      least: 1,
      most: MOST,
    }),
    validationsPerHostPerHour: whole('Validations of a host, failed or not.', 4, { least: 1, most: MOST }),
  },
)

const issuer = group(
  'An authority, under a name of your choice. Gateways name it in the annotation `sluice.dev/acme-issuer`. By naming an authority here you agree to its terms of service.',
  {
    directory: httpsUrl("The authority's directory (RFC 8555).", 'https://acme-v02.api.letsencrypt.org/directory'),
    email: optionalText('Contact of the account.', 'none'),
    keyType: choice('Key of the certificates.', ['ec-256', 'ec-384', 'rsa-2048', 'rsa-3072', 'rsa-4096'], 'ec-256'),
    preferredChain: optionalText(
      'Common name of an issuer in the chain that is taken, where the authority offers several chains.',
      "the authority's first",
    ),
    caBundle: optionalText(
      "File of PEM certificates that the directory's own certificate is verified with.",
      "the system's authorities",
    ),
    challenges: choices(
      'Kinds of challenges that may be used, the preferred first. A failed attempt is followed by one with the next kind that is possible. `http-01` needs a Gateway server for plain HTTP on port 80, `tls-alpn-01` one for HTTPS on port 443, `dns-01` the settings in `dns`.',
      ['http-01', 'tls-alpn-01', 'dns-01'],
      ['http-01', 'tls-alpn-01', 'dns-01'],
    ),
    eab,
    dns,
    limits,
  },
)

export const acmeSchema = group(
  'Certificates that are ordered from authorities and renewed by themselves (ACME). See [tls.md](tls.md#certificates-from-an-acme-authority).',
  {
    defaultIssuer: optionalText(
      'Issuer for Gateways that name none. A Gateway with the annotation `sluice.dev/acme-issuer: none` is left alone.',
      'none: only Gateways that name one',
    ),
    untilIssued: choice(
      'What clients get while there is no certificate yet: `refuse` ends their handshakes, `self-signed` shows them a certificate that they cannot trust.',
      ['refuse', 'self-signed'],
      'refuse',
    ),
    storage: choice(
      'Where account keys, certificates and the budget are kept: `files` in the state folder are for a single gateway, `redis` is for any number; `auto` takes Redis where `redis.url` is set.',
      ['auto', 'files', 'redis'],
      'auto',
    ),
    lockExpiry: duration(
      'A replica that has not been heard of for this long while it ordered a certificate is given up, and another one takes the order on.',
      30 * SECOND_MS,
      '30s',
      { ms: SECOND_MS, text: '1s' },
    ),
    orderTimeout: duration('Longest time for one order, from its start to the certificate.', 5 * MINUTE_MS, '5m', {
      ms: SECOND_MS,
      text: '1s',
    }),
    issuers: groupMap(issuer, {
      placeholder: 'NAME',
      expected: 'a name of letters, digits and "-", other than "none"',
      isName: (name) => isLabel(name) && name !== 'none',
    }),
  },
)
