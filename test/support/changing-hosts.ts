/**
 * Hosts whose configuration changes at random, and what each of them may answer at any time: the other half of a test
 * that edits files under load. Every answer tells which version of which rule gave it and which upstream, so that an
 * answer that no configuration in force could have given stands out.
 */
import { appendFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

/** Uniform in [0, 1); the same numbers for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Shorter than the time after which the gateway believes that a file that is suddenly gone or empty stays so. */
const SURELY_UNSEEN_MS = 50
const SUBSET = 'chosen'
const PARTS = ['virtualService', 'serviceEntry', 'destinationRule'] as const
type Part = (typeof PARTS)[number]

type Rule = { readonly version: number; readonly to: 'itself' | 'service' | 'subset' }

/** What is in force of each of a host's objects; null: nothing. */
interface InForce {
  virtualService: Rule | null
  /** Names of upstreams. */
  serviceEntry: readonly string[] | null
  /** The upstream that the subset chooses. */
  destinationRule: string | null
}

/** How an object is written at present. `mistyped` can be told to be that object, `garbled` is no YAML. */
type Writing = 'good' | 'mistyped' | 'garbled' | 'absent'

/** What a host may have answered from one moment to another, in ms of the monotonic clock. */
interface Period {
  readonly answers: ReadonlySet<string>
  readonly from: number
  /** Infinity until it is known that every worker has gone on. */
  until: number
}

export interface World {
  readonly folder: string
  readonly random: () => number
  /** Port by name of the upstream. */
  readonly upstreams: ReadonlyMap<string, number>
  /** Counts versions of rules; each is used once. */
  nextVersion: number
}

/** One host: a VirtualService, the service that it may route to, and a DestinationRule with one subset. */
export class ChangingHost {
  readonly host: string
  readonly #name: string
  readonly #world: World
  /** All objects in one file, or a file for each. */
  readonly #joined: boolean
  /** What a writer of this host would have in force; stays at the last good version of what is broken. */
  #inForce: InForce = { virtualService: null, serviceEntry: null, destinationRule: null }
  readonly #written: Record<Part, Writing> = {
    virtualService: 'absent',
    serviceEntry: 'absent',
    destinationRule: 'absent',
  }
  #texts: Record<Part, string> = { virtualService: '', serviceEntry: '', destinationRule: '' }
  /** Parts whose present version may not have been seen by the gateway: two changes may be one for it. */
  readonly #unseen = new Set<Part>()
  #periods: Period[] = []
  /** The last edits. */
  #history: string[] = []

  constructor(world: World, index: number) {
    this.#world = world
    this.#name = `h${index}`
    this.host = `${this.#name}.test`
    this.#joined = index % 3 === 0
    this.#set('virtualService', 'good')
    this.#set('serviceEntry', 'good')
    this.#set('destinationRule', 'good')
    for (const part of PARTS) writeFileSync(this.#file(part), this.#content(part))
    this.#settle(Number.NEGATIVE_INFINITY)
  }

  /** Whether a request that was under way between two moments may have got this answer. */
  allows(answer: string, began: number, ended: number): boolean {
    return this.#periods.some(({ answers, from, until }) => from <= ended && until >= began && answers.has(answer))
  }

  /** What was done to the host of late and what it may answer, for messages. */
  describe(): string {
    const answers = this.#periods
      .filter(({ until }) => until === Number.POSITIVE_INFINITY)
      .map(({ answers }) => answers)
    return `${answers.map((each) => `{${[...each].join(' | ')}}`).join(' then ')} after ${this.#history.join(', ')}`
  }

  /** Every worker serves what was written last: earlier answers are no longer right. */
  confirm(now: number): void {
    this.#unseen.clear()
    this.#note('all served')
    for (const period of this.#periods.slice(0, -1)) period.until = Math.min(period.until, now)
    // Requests that are under way may have begun earlier; none takes a minute.
    this.#periods = this.#periods.filter(({ until }) => until > now - 60_000)
  }

  /** One random change of one object. */
  async edit(): Promise<void> {
    const part = pick(this.#world.random, ['virtualService', ...PARTS] as const)
    this.#set(part, this.#chooseWriting(part))
    this.#unseen.add(part)
    await this.#write(part)
  }

  /** Makes everything good that is broken. */
  async mend(): Promise<void> {
    for (const part of PARTS) {
      if (this.#written[part] === 'good' || this.#written[part] === 'absent') continue
      this.#set(part, 'good')
      await this.#write(part)
    }
  }

  #chooseWriting(part: Part): Writing {
    const change = this.#world.random()
    if (this.#written[part] !== 'good' || change < 0.65) return 'good'
    // What the last good version is must be certain before something is broken.
    const inFile = PARTS.filter((other) => this.#file(other) === this.#file(part))
    const certain = inFile.every((other) => !this.#unseen.has(other))
    if (change < 0.77) return certain || !inFile.some((other) => this.#isBroken(other)) ? 'absent' : 'good'
    if (!certain) return 'good'
    return change < 0.89 ? 'mistyped' : 'garbled'
  }

  #isBroken(part: Part): boolean {
    return this.#written[part] === 'mistyped' || this.#written[part] === 'garbled'
  }

  #set(part: Part, writing: Writing): void {
    this.#written[part] = writing
    if (writing === 'good') {
      this.#inForce = { ...this.#inForce, [part]: this.#invent(part) }
      this.#texts[part] = this.#text(part)
    } else if (writing === 'mistyped') {
      this.#texts[part] = this.#texts[part].replace(/\nspec:/, '\nspec: "of the wrong type"\nstatus:')
    } else if (writing === 'garbled') {
      this.#texts[part] = this.#texts[part].replace(/\nspec:/, '\nspec: { [}\nstatus:')
    }
    // An object that is missing may be in what cannot be read of its file, and stays; otherwise it is gone.
    const garbled = PARTS.some((other) => this.#file(other) === this.#file(part) && this.#written[other] === 'garbled')
    if (garbled) return
    for (const other of PARTS) {
      if (this.#file(other) !== this.#file(part) || this.#written[other] !== 'absent') continue
      this.#inForce = { ...this.#inForce, [other]: null }
    }
  }

  #invent(part: Part): InForce[Part] {
    const { random, upstreams } = this.#world
    const names = [...upstreams.keys()]
    switch (part) {
      case 'virtualService':
        return { version: this.#world.nextVersion++, to: pick(random, ['itself', 'service', 'subset'] as const) }
      case 'serviceEntry': {
        const chosen = names.filter(() => random() < 0.6)
        return chosen.length === 0 ? [pick(random, names)] : chosen
      }
      case 'destinationRule':
        return pick(random, names)
      default:
        return part satisfies never
    }
  }

  #text(part: Part): string {
    const service = `"${this.#name}.service"`
    switch (part) {
      case 'virtualService': {
        const { version, to } = this.#inForce.virtualService!
        const subset = to === 'subset' ? `, subset: "${SUBSET}"` : ''
        const action =
          to === 'itself'
            ? `directResponse: { status: 200, body: { string: "rule ${version}" } }`
            : `route: [{ destination: { host: ${service}${subset} } }]\n    headers: { response: { set: { x-rule: "${version}" } } }`
        return object(
          'VirtualService',
          this.#name,
          `\n  hosts: ["${this.host}"]\n  gateways: [istio-system/gw]\n  http:\n  - ${action}`,
        )
      }
      case 'serviceEntry': {
        const endpoints = this.#inForce.serviceEntry!.map(
          (name) =>
            `\n  - { address: 127.0.0.1, ports: { http: ${this.#world.upstreams.get(name)} }, labels: { is: "${name}" } }`,
        )
        const ports = 'ports: [{ number: 80, name: http, protocol: HTTP }]'
        return object(
          'ServiceEntry',
          this.#name,
          `\n  hosts: [${service}]\n  ${ports}\n  resolution: STATIC\n  endpoints:${endpoints.join('')}`,
        )
      }
      case 'destinationRule':
        return object(
          'DestinationRule',
          this.#name,
          `\n  host: ${service}\n  subsets: [{ name: "${SUBSET}", labels: { is: "${this.#inForce.destinationRule}" } }]`,
        )
      default:
        return part satisfies never
    }
  }

  #file(part: Part): string {
    return join(this.#world.folder, this.#joined ? `${this.#name}.yaml` : `${this.#name}-${part}.yaml`)
  }

  #content(part: Part): string {
    const parts = PARTS.filter((other) => this.#file(other) === this.#file(part) && this.#written[other] !== 'absent')
    return parts.map((other) => this.#texts[other]).join('---\n')
  }

  /** Saves the file of an object in one of the ways in which programs save files. */
  async #write(part: Part): Promise<void> {
    const { random } = this.#world
    const file = this.#file(part)
    const content = this.#content(part)
    this.#settle(performance.now())
    if (content === '') {
      this.#note(`${part} gone with its file`)
      removeIfThere(file)
      return
    }
    const way = random()
    this.#note(`${part} ${this.#written[part]} ${way < 0.5 ? 'renamed' : way < 0.8 ? 'rewritten' : 'in steps'}`)
    if (way < 0.5) {
      writeFileSync(`${file}.tmp`, content)
      renameSync(`${file}.tmp`, file)
    } else if (way < 0.8) {
      writeFileSync(file, content)
    } else {
      // In steps. A first piece ends within quotes, so that it cannot be taken for less than what is meant. Where last
      // good versions are in force the file is not emptied: should that be seen, they would be gone.
      const cut =
        PARTS.some((other) => this.#isBroken(other)) || random() < 0.5 ? pick(random, openingQuotes(content)) + 1 : 0
      if (cut === 0 && random() < 0.5) removeIfThere(file)
      const began = performance.now()
      writeFileSync(file, content.slice(0, cut))
      await wait(random() * 12)
      if (cut === 0 && performance.now() - began > SURELY_UNSEEN_MS) this.#mayHaveBeenGone(part, began)
      appendFileSync(file, content.slice(cut))
    }
  }

  #note(event: string): void {
    if (event !== this.#history.at(-1)) this.#history = [...this.#history.slice(-7), event]
  }

  /** From here on the host may answer what is in force after the present edit. */
  #settle(from: number): void {
    this.#periods.push({ answers: possibleAnswers(this.#inForce), from, until: Number.POSITIVE_INFINITY })
  }

  /** This process was held up for so long that the file of an object was rightly taken for removed or emptied. */
  #mayHaveBeenGone(part: Part, from: number): void {
    const present = this.#inForce
    const gone = { ...present }
    for (const other of PARTS) if (this.#file(other) === this.#file(part)) gone[other] = null
    this.#inForce = gone
    this.#settle(from)
    this.#inForce = present
    this.#settle(performance.now())
  }
}

function possibleAnswers({ virtualService, serviceEntry, destinationRule }: InForce): ReadonlySet<string> {
  if (virtualService === null) return new Set(['404'])
  const { version, to } = virtualService
  if (to === 'itself') return new Set([`200 rule ${version}`])
  const upstreams =
    to === 'service' ? (serviceEntry ?? []) : (serviceEntry ?? []).filter((name) => name === destinationRule)
  return new Set(upstreams.length === 0 ? ['503'] : upstreams.map((name) => `200 rule ${version} from ${name}`))
}

function object(kind: string, name: string, spec: string): string {
  return `apiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: { name: "${name}" }\nspec:${spec}\n`
}

function openingQuotes(content: string): number[] {
  return [...content.matchAll(/"[^"]*"/g)].map(({ index }) => index)
}

function pick<Item>(random: () => number, items: readonly Item[]): Item {
  return items[Math.floor(random() * items.length)]!
}

function removeIfThere(file: string): void {
  try {
    unlinkSync(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
