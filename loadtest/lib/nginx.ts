/** nginx as a program that benchmarks start: a peer, and the upstream of all. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Tool } from '../../test/support/tools.ts'

export const NGINX: Tool = { command: 'nginx', debianPackage: 'nginx-light' }

/** How to start a program. */
export interface Launch {
  readonly command: readonly [string, ...string[]]
  readonly env?: Readonly<Record<string, string>>
}

/** nginx with one worker and one `http` block. @param dir An empty folder of its own. */
export function nginxLaunch(
  { dir, program }: { readonly dir: string; readonly program: string },
  http: string,
): Launch {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `  ${name}_temp_path ${join(dir, name)};`)
    .join('\n')
  writeFileSync(
    join(dir, 'nginx.conf'),
    `daemon off;
worker_processes 1;
pid ${join(dir, 'nginx.pid')};
error_log stderr error;
events { worker_connections 4096; }
http {
${temporary}
  keepalive_requests 1000000000;
${http}
}
`,
  )
  return { command: [program, '-e', 'stderr', '-p', dir, '-c', join(dir, 'nginx.conf')] }
}
