/**
 * Values of `location`. Whatever configuration or a client put into them, they are one line of visible ASCII, or bytes
 * that the client itself sent.
 */
import { Buffer } from 'node:buffer'

const UNSAFE_IN_CONFIGURATION = /[^\x21-\x7e]+/gu
const UNSAFE_IN_REQUEST = /[^\x21-\x7e\x80-\xff]/g

/** Text of a resource as part of a location: what is not visible ASCII is percent-encoded as UTF-8. */
export function fromConfiguration(text: string): string {
  return text.replace(UNSAFE_IN_CONFIGURATION, (run) => Buffer.from(run, 'utf8').reduce(percentByte, ''))
}

/** Text of a request as part of a location: percent sequences and bytes above ASCII stay as they were sent. */
export function fromRequest(text: string): string {
  return text.replace(UNSAFE_IN_REQUEST, (character) => percentByte('', character.charCodeAt(0) & 0xff))
}

function percentByte(encoded: string, byte: number): string {
  return `${encoded}%${byte.toString(16).toUpperCase().padStart(2, '0')}`
}

/** An authority without its port: `[::1]:80` is `[::1]`. */
export function withoutPort(authority: string): string {
  const colon = portStart(authority)
  return colon === -1 ? authority : authority.slice(0, colon)
}

/** The authority's port with its colon, or empty. */
export function portOf(authority: string): string {
  const colon = portStart(authority)
  return colon === -1 ? '' : authority.slice(colon)
}

function portStart(authority: string): number {
  const colon = authority.lastIndexOf(':')
  return colon > authority.lastIndexOf(']') ? colon : -1
}
