/** What is wrong with a setting, and where it was given. */

/** Where a value came from. */
export type Given =
  | { readonly kind: 'flag'; readonly name: string }
  | { readonly kind: 'environment'; readonly name: string }
  /** `line` counts from 1, where it is known. */
  | { readonly kind: 'file'; readonly file: string; readonly line?: number }

export interface SettingsIssue {
  /** `error`: the gateway does not start. `warning`: it does, without what is named. */
  readonly severity: 'error' | 'warning'
  readonly given: Given
  /** Dotted path of the setting, for example `mesh.accessLogFile`; empty for the whole file. */
  readonly path: string
  readonly message: string
  readonly remedy?: string
}

/** Settings that cannot be used. Its message is every issue, one a line. */
export class SettingsError extends Error {
  readonly issues: readonly SettingsIssue[]

  constructor(issues: readonly SettingsIssue[]) {
    super(issues.map(formatIssue).join('\n'))
    this.name = 'SettingsError'
    this.issues = issues
  }
}

/** `FILE:LINE: error: PATH: message. Remedy.`, as compilers print it; for a flag or variable its name comes first. */
export function formatIssue({ severity, given, path, message, remedy }: SettingsIssue): string {
  const subject = path === '' || given.kind !== 'file' ? '' : `${path}: `
  return `${place(given)}: ${severity}: ${subject}${message}${remedy === undefined ? '' : ` ${remedy}`}`
}

function place(given: Given): string {
  if (given.kind !== 'file') return given.name
  return given.line === undefined ? given.file : `${given.file}:${given.line}`
}
