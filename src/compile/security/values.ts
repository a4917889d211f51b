/**
 * The forms that values of AuthorizationPolicies have.
 *
 * Source: istio: pilot/pkg/security/authz/matcher/{string,template}.go, pilot/pkg/security/authz/model/generator.go;
 * semantics §5.7.
 */
import type { PathTemplate, RequestPrincipalMatch, ValueMatch } from '../../plan/authorization.ts'

const PRESENT: ValueMatch = { kind: 'present' }

/** `*`, `*SUFFIX`, `PREFIX*` or the text itself; an asterisk elsewhere is an ordinary character. */
export function readValue(text: string): ValueMatch {
  if (text === '*') return PRESENT
  if (text.startsWith('*')) return { kind: 'suffix', value: text.slice(1) }
  if (text.endsWith('*')) return { kind: 'prefix', value: text.slice(0, -1) }
  return { kind: 'exact', value: text }
}

export function readPath(text: string): ValueMatch | PathTemplate {
  return /\{\*{1,2}\}/.test(text) ? readTemplate(text) : readValue(text)
}

/** Validation has made sure that `{*}` stands for a whole segment and `{**}` comes last, if at all. */
function readTemplate(text: string): PathTemplate {
  const open = text.indexOf('{**}')
  const head = open === -1 ? text : text.slice(0, open)
  return { kind: 'template', literals: head.split('{*}'), rest: open === -1 ? null : text.slice(open + '{**}'.length) }
}

/**
 * `ISSUER/SUBJECT`, taken apart at the last slash as an issuer is often a URL. A wildcard belongs to the half that it
 * stands in, and the other half is exact; without a slash the text is the half with the wildcard, or an issuer.
 */
export function readRequestPrincipal(text: string): RequestPrincipalMatch {
  if (text === '*') return { issuer: PRESENT, subject: PRESENT }
  const slash = text.lastIndexOf('/')
  if (slash === -1) {
    if (text.startsWith('*')) return { issuer: PRESENT, subject: readValue(text) }
    if (text.endsWith('*')) return { issuer: readValue(text), subject: PRESENT }
    return { issuer: exact(text), subject: exact('') }
  }
  const issuer = text.slice(0, slash)
  const subject = text.slice(slash + 1)
  if (text.startsWith('*')) return { issuer: readValue(issuer), subject: exact(subject) }
  return { issuer: exact(issuer), subject: text.endsWith('*') ? readValue(subject) : exact(subject) }
}

function exact(value: string): ValueMatch {
  return { kind: 'exact', value }
}
