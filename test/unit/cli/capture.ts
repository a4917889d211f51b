/** A command line run inside the test, with what it printed. */
import { runCommandLine } from '../../../src/cli/main.ts'

export interface Captured {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** @param env All variables that the command sees. @param cwd Its working folder. */
export async function capture(args: readonly string[], env: Record<string, string> = {}, cwd = '/'): Promise<Captured> {
  let stdout = ''
  let stderr = ''
  const code = await runCommandLine(args, {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    env,
    cwd,
  })
  return { code, stdout, stderr }
}
