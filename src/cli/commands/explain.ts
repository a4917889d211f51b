/** `sluice explain`: what would serve a request, and why. */
import { askAdmin } from '../admin-client.ts'
import { addAdminFlags, type AdminFlags } from '../admin-flags.ts'
import { type AddCommand, examples } from '../cli.ts'
import { CommandFailure, EXIT_OK } from '../exit.ts'
import { explanationText } from '../explanation.ts'
import { type OutputFormat, writeJson } from '../output.ts'

interface ExplainFlags extends AdminFlags {
  readonly output: OutputFormat
  readonly header?: readonly string[]
  readonly principal?: string
}

export const addExplain: AddCommand = (program, { io, exit }) => {
  const command = program
    .command('explain')
    .summary('which rule of a running gateway would serve a request, and why')
    .description(
      'Asks a running gateway which listener, resource, rule and upstream would serve a request. Nothing is sent to an upstream.',
    )
    .argument('<METHOD>', 'for example GET')
    .argument(
      '<URL>',
      "for example http://shop.example.com/orders?id=7. Its port is the Gateway server's, 80 or 443 if it has none; its host is the Host header unless -H names another",
    )
    .option('-H, --header <HEADER>', "a request header, 'name: value'; repeatable", collect)
    .option(
      '--principal <ID>',
      "the workload whose certificate the client shows: 'TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT'",
    )
    .addHelpText(
      'after',
      examples([
        ['sluice explain GET http://shop.example.com/orders', 'which rule takes it'],
        ["sluice explain GET http://shop.example.com/orders -H 'x-canary: always'", 'with a header'],
      ]),
    )
  addAdminFlags(command).action(async (method: string, url: string, options: ExplainFlags) => {
    const { header = [], principal } = options
    const asked = { method, url: checkUrl(url), headers: header.map(splitHeader) }
    const body = principal === undefined ? asked : { ...asked, principal: checkPrincipal(principal) }
    const answer = await askAdmin(options, io, { method: 'POST', path: '/explain', body })
    const text = options.output === 'json' ? undefined : explanationText(answer, io)
    if (text === undefined) writeJson(io.stdout, answer)
    else io.stdout.write(text)
    exit(EXIT_OK)
  })
}

function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value]
}

function checkUrl(url: string): string {
  const parsed = URL.parse(url)
  if (parsed?.protocol === 'http:' || parsed?.protocol === 'https:') return url
  throw new CommandFailure(`"${url}" is not a URL that starts with http:// or https://`)
}

/** With or without the scheme of SPIFFE. */
function checkPrincipal(principal: string): string {
  const plain = principal.replace(/^spiffe:\/\//, '')
  if (/^[^/]+\/ns\/[^/]+\/sa\/[^/]+$/.test(plain)) return plain
  throw new CommandFailure(`"${principal}" is not 'TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT'`)
}

/** As curl reads it: the value begins after the colon and the blanks that follow it. */
function splitHeader(header: string): readonly [name: string, value: string] {
  const colon = header.indexOf(':')
  if (colon < 1) throw new CommandFailure(`the header "${header}" is not 'name: value'`)
  return [header.slice(0, colon).trim(), header.slice(colon + 1).trim()]
}
