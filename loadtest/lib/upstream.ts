/** The upstream of the benchmarks: an nginx that answers everything with the same body from memory. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Launch, NGINX, nginxLaunch } from './nginx.ts'
import { type Started, freePort, start, untilServing } from './started.ts'

/** Size of every answer. */
export const BODY_BYTES = 1024

export interface UpstreamOptions {
  /** The absolute path of a tool, undefined where it is missing. */
  readonly find: (command: string) => string | undefined
  /** The root of this repository. */
  readonly root: string
  readonly log: (line: string) => void
}

/** Starts it on a free port of 127.0.0.1. @param dir It makes a folder of its own in there. */
export async function startUpstream(
  dir: string,
  { root, find, log }: UpstreamOptions,
): Promise<{ readonly port: number; readonly started: Started }> {
  const port = await freePort()
  const place = join(dir, 'upstream')
  mkdirSync(place)
  const program = find(NGINX.command)
  if (program === undefined) log('no nginx for the upstream: a Node server stands in, and requests/s mean little')
  const script = join(root, 'loadtest', 'lib', 'servers', 'upstream.ts')
  const launch: Launch =
    program === undefined
      ? { command: [process.execPath, script, String(port), String(BODY_BYTES)] }
      : nginxLaunch(
          { dir: place, program },
          `  access_log off;
  server {
    listen 127.0.0.1:${port};
    default_type text/plain;
    return 200 "${'x'.repeat(BODY_BYTES)}";
  }`,
        )
  const upstream = start({ ...launch, cwd: place, logFile: join(place, 'output.log') })
  await untilServing(upstream, port, 'upstream.test', BODY_BYTES)
  return { port, started: upstream }
}
