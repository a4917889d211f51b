/** The fields of the settings that have a form of their own: addresses, port bindings, `auto`, URLs with passwords. */
import { parseDuration } from '../lib/duration.ts'
import { isCIDR } from '../lib/names.ts'
import { Redacted } from '../lib/redacted.ts'
import { type Field, type Options, code, field, isOff, isRecord } from './fields.ts'
import {
  type HostPort,
  type ListenMapping,
  fail,
  formatHostPort,
  ok,
  parseHostPort,
  parseListen,
  readList,
  readWhole,
} from './values.ts'

/** An address to listen on, `[HOST:]PORT`; a bare port takes the host of the default. */
export function listenAddress(description: string, fallback: HostPort, options?: Options): Field<HostPort> {
  const expected = `[HOST:]PORT, such as "${formatHostPort(fallback)}"`
  return field<HostPort>(
    { type: ['string', 'integer'], default: formatHostPort(fallback) },
    {
      read: (value) => {
        const address = parseHostPort(String(value), fallback.host)
        return address === undefined ? fail(expected) : ok(address)
      },
      default: fallback,
      defaultText: code(formatHostPort(fallback)),
      description,
      expected,
    },
    options,
  )
}

/** The same, or `off`, which is null. @param host The host of a bare port. */
export function listenAddressOrOff(
  description: string,
  host: string,
  defaultText: string,
  options?: Options,
): Field<HostPort | null> {
  const expected = `off, or [HOST:]PORT`
  return field<HostPort | null>(
    { type: ['string', 'integer', 'boolean'], default: 'off' },
    {
      read: (value) => {
        if (isOff(value)) return ok(null)
        const address = parseHostPort(String(value), host)
        return address === undefined ? fail(expected) : ok(address)
      },
      default: null,
      defaultText,
      description,
      expected,
    },
    options,
  )
}

/** A list of `PORT=[HOST:]PORT`. */
export function portBindings(
  description: string,
  defaultText: string,
  options?: Options,
): Field<readonly ListenMapping[]> {
  const expected = 'PORT=[HOST:]PORT, such as "80=8080"'
  return field<readonly ListenMapping[]>(
    { type: 'array', items: { type: 'string' }, default: [] },
    {
      read: readList((item) => {
        const mapping = parseListen(String(item))
        return mapping === undefined ? fail(expected) : ok(mapping)
      }, expected),
      default: [],
      defaultText,
      description,
      expected,
    },
    options,
  )
}

/** A number of processes, or `auto`. */
export function workerCount(
  description: string,
  most: number,
  defaultText: string,
  options?: Options,
): Field<number | 'auto'> {
  const expected = `auto, or a whole number from 1 to ${most}`
  const read = readWhole(1, most, expected)
  return field<number | 'auto'>(
    { oneOf: [{ type: 'integer', minimum: 1, maximum: most }, { const: 'auto' }], default: 'auto' },
    {
      read: (value, written) => (value === 'auto' ? ok('auto') : read(value, written)),
      default: 'auto',
      defaultText,
      description,
      expected,
    },
    options,
  )
}

/** True, false or `auto`. */
export function flagOrAuto(description: string, defaultText: string, options?: Options): Field<boolean | 'auto'> {
  const expected = 'true, false or auto'
  return field<boolean | 'auto'>(
    { enum: [true, false, 'auto'], default: 'auto' },
    {
      read: (value, written) => {
        if (typeof value === 'boolean' || value === 'auto') return ok(value)
        if (written && (value === 'true' || value === '1')) return ok(true)
        if (written && (value === 'false' || value === '0')) return ok(false)
        return fail(expected)
      },
      default: 'auto',
      defaultText,
      description,
      expected,
    },
    options,
  )
}

/** A URL that may hold a password, so its value is never printed. */
export function secretUrl(
  description: string,
  protocols: readonly string[],
  options?: Options,
): Field<Redacted | null> {
  const expected = `a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`
  return field<Redacted | null>(
    { type: 'string' },
    {
      read: (value) => {
        const url = typeof value === 'string' ? URL.parse(value) : null
        return url !== null && protocols.includes(url.protocol) ? ok(new Redacted(value as string)) : fail(expected)
      },
      default: null,
      defaultText: 'none',
      description,
      expected,
      secret: true,
    },
    options,
  )
}

/** A URL that has to be HTTPS: what is asked there decides whom the world believes. */
export function httpsUrl(description: string, fallback: string, options?: Options): Field<string> {
  const expected = 'a URL that starts with https://'
  return field(
    { type: 'string', default: fallback },
    {
      read: (value) => {
        const url = typeof value === 'string' ? URL.parse(value) : null
        return url?.protocol === 'https:' ? ok(value as string) : fail(expected)
      },
      default: fallback,
      defaultText: code(fallback),
      description,
      expected,
    },
    options,
  )
}

/** Base64 or base64url of a key, so its value is never printed. Null: none. */
export function secretKey(description: string, options?: Options): Field<Redacted | null> {
  const expected = 'a key in base64 or base64url'
  return field<Redacted | null>(
    { type: 'string' },
    {
      read: (value) =>
        typeof value === 'string' && /^[A-Za-z0-9+/_-]+={0,2}$/.test(value) ? ok(new Redacted(value)) : fail(expected),
      default: null,
      defaultText: 'none',
      description,
      expected,
      secret: true,
    },
    options,
  )
}

/** Text that is never printed; empty: none. */
export function secretText(description: string, options?: Options): Field<Redacted> {
  const expected = 'text'
  return field<Redacted>(
    { type: 'string' },
    {
      read: (value) => (typeof value === 'string' ? ok(new Redacted(value)) : fail(expected)),
      default: new Redacted(''),
      defaultText: 'none',
      description,
      expected,
      secret: true,
    },
    options,
  )
}

/** Addresses, `HOST:PORT` each; in a flag or a variable separated by commas. */
export function addresses(description: string, defaultPort: number, options?: Options): Field<readonly HostPort[]> {
  const expected = 'a list of HOST[:PORT]'
  return field<readonly HostPort[]>(
    { type: 'array', items: { type: 'string' }, default: [] },
    {
      read: readList((item) => {
        const read = typeof item === 'string' ? readAddress(item, defaultPort) : null
        return read === null ? fail(expected) : ok(read)
      }, expected),
      default: [],
      defaultText: '`[]`',
      description,
      expected,
    },
    options,
  )
}

/** A list of ports. */
export function ports(description: string, options?: Options): Field<readonly number[]> {
  const expected = 'a list of ports, 1 to 65535'
  return field<readonly number[]>(
    { type: 'array', items: { type: 'integer' }, default: [] },
    {
      read: readList((item) => {
        const port = Number(item)
        return Number.isInteger(port) && port >= 1 && port <= 65_535 ? ok(port) : fail(expected)
      }, expected),
      default: [],
      defaultText: '`[]`',
      description,
      expected,
    },
    options,
  )
}

/** A list of IP addresses and blocks of them. */
export function addressBlocks(description: string, options?: Options): Field<readonly string[]> {
  const expected = 'a list of addresses or ADDRESS/BITS'
  return field<readonly string[]>(
    { type: 'array', items: { type: 'string' }, default: [] },
    {
      read: readList((item) => (typeof item === 'string' && isCIDR(item) ? ok(item) : fail(expected)), expected),
      default: [],
      defaultText: '`[]`',
      description,
      expected,
    },
    options,
  )
}

function readAddress(text: string, defaultPort: number): HostPort | null {
  const url = URL.parse(`tcp://${text}`)
  if (url === null || url.hostname === '' || url.pathname !== '' || url.username !== '') return null
  const host = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname
  return { host, port: url.port === '' ? defaultPort : Number(url.port) }
}

/** The name of an HTTP header in lower case (RFC 9110 section 5.1: a token), or `off`, which is null. */
export function headerNameOrOff(description: string, options?: Options): Field<string | null> {
  const expected = 'off, or the name of a header'
  return field<string | null>(
    { type: 'string', default: 'off' },
    {
      read: (value) => {
        if (isOff(value)) return ok(null)
        return typeof value === 'string' && /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(value)
          ? ok(value.toLowerCase())
          : fail(expected)
      },
      default: null,
      defaultText: code('off'),
      description,
      expected,
    },
    options,
  )
}

/** Istio's HTTPRetry (istio/api networking/v1alpha3/virtual_service.proto), with the types that its fields have. */
export interface RetryPolicySetting {
  readonly attempts?: number
  readonly perTryTimeout?: string
  readonly retryOn?: string
  readonly retryRemoteLocalities?: boolean
  readonly retryIgnorePreviousHosts?: boolean
  readonly backoff?: string
}

const isDuration = (value: unknown): boolean => typeof value === 'string' && (parseDuration(value) ?? -1) >= 0

const RETRY_FIELDS: Readonly<Record<keyof RetryPolicySetting, (value: unknown) => boolean>> = {
  attempts: (value) => Number.isInteger(value) && (value as number) >= 0,
  perTryTimeout: isDuration,
  retryOn: (value) => typeof value === 'string',
  retryRemoteLocalities: (value) => typeof value === 'boolean',
  retryIgnorePreviousHosts: (value) => typeof value === 'boolean',
  backoff: isDuration,
}

/** An HTTPRetry; null: not set. */
export function retryPolicy(description: string, options?: Options): Field<RetryPolicySetting | null> {
  const expected = `an object with any of ${Object.keys(RETRY_FIELDS).join(', ')}, each as in a VirtualService`
  return field<RetryPolicySetting | null>(
    { type: 'object' },
    {
      read: (value) => {
        if (!isRecord(value)) return fail(expected)
        const good = Object.entries(value).every(
          ([key, item]) => Object.hasOwn(RETRY_FIELDS, key) && RETRY_FIELDS[key as keyof RetryPolicySetting](item),
        )
        return good ? ok(value) : fail(expected)
      },
      default: null,
      defaultText: 'not set',
      description,
      expected,
      fileOnly: true,
    },
    options,
  )
}
