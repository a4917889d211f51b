/** The explicit forward proxy. */
import { Redacted } from '../lib/redacted.ts'
import {
  choice,
  type Field,
  duration,
  durationOrOff,
  field,
  group,
  isRecord,
  text,
  texts,
  whole,
  wholeOrOff,
} from './fields.ts'
import { listenAddressOrOff } from './special.ts'
import { fail, ok, type Reading } from './values.ts'

/** Another proxy that connections to these hosts go through. */
export interface EgressViaSetting {
  /** Names, `*.suffix` or `*`, in lower case. */
  readonly hosts: readonly string[]
  /** `http://[USER:PASSWORD@]HOST:PORT` */
  readonly proxy: Redacted
}

export const egressSchema = group(
  'The explicit forward proxy: what ServiceEntries list can be reached through it, and nothing else. `egress: PORT` is short for `egress.listen`.',
  {
    listen: listenAddressOrOff('Where it listens.', '127.0.0.1', '`off`; `3128` in `sluice demo`', {
      flag: '--egress [HOST:]PORT',
      env: 'SLUICE_EGRESS',
    }),
    auditLog: text(
      'A JSON line for every request and every tunnel: who, where to, which ServiceEntry allowed it or why it was refused, how many bytes. `/dev/stdout`, `/dev/stderr` or a file; empty is off.',
      '/dev/stdout',
    ),
    encryptedClientHello: choice(
      'What becomes of a TLS client whose server name is encrypted (ECH), or that pretends so: the name that can be read need not be the one that counts. Browsers pretend by default.',
      ['refuse', 'allow'],
      'refuse',
    ),
    clientHelloTimeout: duration(
      'How long a tunnel to a TLS port may take until its ClientHello is whole.',
      10_000,
      '10s',
      { ms: 100, text: '100ms' },
    ),
    tunnelIdleTimeout: durationOrOff('A tunnel in which no byte passes is closed after this long.', {
      ms: 3_600_000,
      text: '1h',
    }),
    maxTunnels: wholeOrOff('Tunnels of one worker at a time; more are answered 503.', { least: 1, most: 1_000_000 }),
    maxDestinations: whole(
      'Destinations that one worker keeps names resolved and connections open for. One more, and the one that was used longest ago is given up; tunnels and requests in flight finish.',
      1024,
      { least: 16, most: 1_000_000 },
    ),
    destinationIdleTimeout: duration(
      'A destination that nobody goes to is given up after this long: its name is no longer looked up.',
      600_000,
      '10m',
      { ms: 1000, text: '1s' },
    ),
    via: viaField(
      'Other proxies for connections that leave: `hosts` (names, `*.suffix` or `*`; the first entry that has the host counts) and `proxy` (`http://[USER:PASSWORD@]HOST:PORT`). Names are then resolved by that proxy.',
    ),
    noProxy: texts('Hosts that never go through `via`: names, `*.suffix`, addresses and blocks of addresses.', []),
  },
  { shorthand: 'listen' },
)

function viaField(description: string): Field<readonly EgressViaSetting[]> {
  const expected = 'a list of { hosts: [...], proxy: "http://[USER:PASSWORD@]HOST:PORT" }'
  return field<readonly EgressViaSetting[]>(
    { type: 'array', items: { type: 'object' } },
    {
      read: (value) => readVia(value, expected),
      default: [],
      defaultText: 'none',
      description,
      expected,
      // It may hold passwords.
      secret: true,
      fileOnly: true,
    },
  )
}

function readVia(value: unknown, expected: string): Reading<readonly EgressViaSetting[]> {
  if (!Array.isArray(value)) return fail(expected)
  const entries: EgressViaSetting[] = []
  for (const item of value as readonly unknown[]) {
    if (!isRecord(item) || Object.keys(item).some((key) => key !== 'hosts' && key !== 'proxy')) return fail(expected)
    const { hosts, proxy } = item
    if (!Array.isArray(hosts) || hosts.length === 0) return fail(expected)
    if (!hosts.every((host) => typeof host === 'string' && /^(?:\*|(?:\*\.)?[a-z0-9_.-]+)$/i.test(host)))
      return fail(expected)
    const url = typeof proxy === 'string' ? URL.parse(proxy) : null
    if (url?.protocol !== 'http:' || url.hostname === '' || url.pathname !== '/' || url.search !== '')
      return fail(expected)
    entries.push({ hosts: (hosts as string[]).map((host) => host.toLowerCase()), proxy: new Redacted(proxy as string) })
  }
  return ok(entries)
}
