/**
 * What is offered and accepted in handshakes where nothing else is configured.
 *
 * Source: envoy: source/common/tls/context_config_impl.cc (`DEFAULT_CIPHER_SUITES`); BoringSSL for TLS 1.3, whose suites
 * cannot be configured.
 */
import { DEFAULT_CIPHERS } from 'node:tls'

/** AES-128 first: it costs a tenth less of what TLS costs a small request, and OpenSSL by itself begins with AES-256. */
export const TLS13_SUITES = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256']

/** Of TLS 1.2, by OpenSSL's names: forward secret and authenticated ones only. */
const TLS12_SUITES = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
]

/** Of servers; in order, joined by `:`. */
export const SERVER_CIPHERS = TLS12_SUITES.join(':')

/** Of clients: what servers may be asked for, and behind it whatever else Node offers to older ones. */
export const CLIENT_CIPHERS = [...new Set([...TLS13_SUITES, ...TLS12_SUITES, ...DEFAULT_CIPHERS.split(':')])].join(':')
