/** A program of the operator's that publishes records where no standard protocol does. */
import { execFile } from 'node:child_process'
import { AcmeProblem } from '../problem.ts'

/** What a hook may print, in bytes; more ends it. */
const MAX_OUTPUT = 64 * 1024
/** Characters of its last words that are shown. */
const MOST_SHOWN = 300

/** @throws AcmeProblem where it cannot be started, takes too long, or ends with another code than 0. */
export async function runHook(
  { program, timeoutMs }: { readonly program: string; readonly timeoutMs: number },
  action: 'present' | 'cleanup',
  name: string,
  value: string,
): Promise<void> {
  // Secrets of this process are none of its business.
  const env = { PATH: process.env['PATH'] ?? '' }
  const options = { env, timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT } as const
  await new Promise<void>((resolve, reject) => {
    execFile(program, [action, name, value], options, (error, _, stderr) => {
      if (error === null) resolve()
      else reject(new AcmeProblem('dns', `the hook ${program} ${action} ${name} ${reason(error, stderr, timeoutMs)}`))
    })
  })
}

function reason(error: Error & { code?: unknown; killed?: boolean }, stderr: string, timeoutMs: number): string {
  if (error.killed === true) return `did not end within ${timeoutMs} ms`
  if (typeof error.code !== 'number') return `cannot be run (${error.message})`
  const words = stderr.trim().slice(-MOST_SHOWN)
  return `ended with code ${error.code}${words === '' ? '' : `: ${words}`}`
}
