/**
 * The one reading of a request's path. What comes out is what routes and policies see and what the upstream gets, so
 * that no two of them can disagree about where a request goes.
 *
 * Source: Envoy `path_utility.cc` and its copy of Chromium's `url_canon_path.cc`; Istio `pathNormalization`.
 */
import type { PathNormalization } from '../plan/plan.ts'

/** Paths of these characters without a dot segment are their own normal form: nearly all of them. */
const ORDINARY = /^[A-Za-z0-9\-_~!$&'()*+,;=:@/[\]]*$/

const MERGEABLE = /\/{2,}/g

/** Characters that are written percent-encoded, whatever they were. */
const ESCAPED = /[^!$&'()*+,\-./0-9:;=@A-Z[\]_a-z~]/

const UNRESERVED = /[A-Za-z0-9\-._~]/

/**
 * @param path The path without query and fragment; starts with `/`.
 * @returns The normal form, or null where there is none (`%00`): the request is then 400.
 */
export function normalizePath(path: string, mode: PathNormalization): string | null {
  if (mode === 'NONE') return path
  let text = path
  if (mode === 'DECODE_AND_MERGE_SLASHES' && text.includes('%')) {
    text = text.replace(/%2f/gi, '/').replace(/%5c/gi, '\\')
  }
  if (!ORDINARY.test(text)) {
    const canonical = canonicalPath(text)
    if (canonical === null) return null
    text = canonical
  }
  return mode !== 'BASE' && text.includes('//') ? text.replace(MERGEABLE, '/') : text
}

function canonicalPath(text: string): string | null {
  const recoded = recode(text)
  return recoded === null ? null : removeDotSegments(recoded)
}

/** Decodes unreserved characters, turns `\` into `/`, encodes what may not stand in a path. */
function recode(text: string): string | null {
  let out = ''
  /** Where in `out` a `%` stands that begins no escape. */
  let barePercent = -1
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!
    if (char === '%') {
      const code = hexByte(text, i + 1)
      if (code === -1) {
        barePercent = out.length
        out += '%'
        continue
      }
      if (code === 0) return null
      const decoded = String.fromCharCode(code)
      if (UNRESERVED.test(decoded)) {
        // `%%32e` must not become `%2e`: another reader would decode it once more.
        if (barePercent !== -1 && out.length - barePercent <= 2) {
          out = `${out.slice(0, barePercent)}%25${out.slice(barePercent + 1)}`
        }
        out += decoded
      } else {
        out += text.slice(i, i + 3)
      }
      i += 2
    } else if (char === '\\') out += '/'
    else if (ESCAPED.test(char)) {
      out += `%${(char.charCodeAt(0) & 0xff).toString(16).toUpperCase().padStart(2, '0')}`
    } else out += char
  }
  return out
}

/** RFC 3986 §5.2.4 on a path that starts with `/`; `..` above the root stays at the root. */
function removeDotSegments(path: string): string {
  if (!path.includes('/.')) return path
  const out: string[] = []
  const segments = path.split('/')
  for (let i = 1; i < segments.length; i++) {
    const segment = segments[i]!
    const last = i === segments.length - 1
    if (segment === '..') {
      out.pop()
      if (last) out.push('')
    } else if (segment === '.') {
      if (last) out.push('')
    } else out.push(segment)
  }
  return `/${out.join('/')}`
}

/** The byte that two hexadecimal digits at `at` stand for, or -1. */
function hexByte(text: string, at: number): number {
  const digits = text.slice(at, at + 2)
  return /^[0-9a-fA-F]{2}$/.test(digits) ? Number.parseInt(digits, 16) : -1
}
