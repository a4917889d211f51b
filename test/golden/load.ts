/** Reading golden cases: a folder with `in.yaml` each, and beside it what is expected of it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadAll } from 'js-yaml'
import {
  type AcmeOptions,
  type CompileOptions,
  defaultCompileOptions,
  type GatewayIdentity,
  type MeshOptions,
} from '../../src/compile/options.ts'
import type { Problem } from '../../src/plan/problem.ts'
import { parseObject } from '../../src/resources/parse.ts'
import { compareResources } from '../../src/resources/resource.ts'
import {
  type AnyResource,
  EMPTY_SNAPSHOT,
  type Kind,
  type RejectedSecurityPolicy,
  type Snapshot,
  SNAPSHOT_FIELD,
} from '../../src/resources/snapshot.ts'

export interface GoldenCase {
  /** `AREA/CASE` */
  readonly name: string
  readonly folder: string
}

/** Folders below `root` that hold an `in.yaml`. */
export function findCases(root: string): GoldenCase[] {
  const folders = readdirSync(root, { recursive: true, encoding: 'utf8' })
  return folders
    .filter((name) => existsSync(join(root, name, 'in.yaml')))
    .sort()
    .map((name) => ({ name, folder: join(root, name) }))
}

export interface Input {
  readonly snapshot: Snapshot
  /** What reading the resources had to say. */
  readonly problems: readonly Problem[]
}

export function readInput({ folder }: GoldenCase): Input {
  const resources: AnyResource[] = []
  const rejected: RejectedSecurityPolicy[] = []
  const problems: Problem[] = []
  for (const document of readYaml(join(folder, 'in.yaml'))) {
    const parsed = parseObject(document)
    problems.push(...parsed.problems)
    if (parsed.resource !== undefined) resources.push(parsed.resource)
    else if (parsed.identity !== undefined && isSecurity(parsed.identity.kind)) {
      const { kind, metadata, matchLabels } = parsed.identity
      rejected.push({ kind, metadata, ...(matchLabels === undefined ? {} : { matchLabels }) } as RejectedSecurityPolicy)
    }
  }
  return { snapshot: toSnapshot(resources, rejected), problems }
}

function isSecurity(kind: Kind): boolean {
  return ['PeerAuthentication', 'RequestAuthentication', 'AuthorizationPolicy'].includes(kind)
}

function toSnapshot(
  resources: readonly AnyResource[],
  rejectedSecurityPolicies: readonly RejectedSecurityPolicy[],
): Snapshot {
  const fields: Record<string, AnyResource[]> = {}
  for (const resource of resources) (fields[SNAPSHOT_FIELD[resource.kind as Kind]] ??= []).push(resource)
  for (const list of Object.values(fields)) list.sort(compareResources)
  return { ...EMPTY_SNAPSHOT, ...fields, rejectedSecurityPolicies }
}

/** `settings.yaml` holds parts of `CompileOptions`: `gateway`, `acme`, `mesh` and `egress`. */
export function readSettings({ folder }: GoldenCase): CompileOptions {
  const defaults = defaultCompileOptions()
  const file = join(folder, 'settings.yaml')
  if (!existsSync(file)) return defaults
  const [settings] = readYaml(file) as [
    {
      gateway?: Partial<GatewayIdentity>
      acme?: Partial<AcmeOptions>
      mesh?: Partial<MeshOptions>
      egress?: CompileOptions['egress']
    },
  ]
  return {
    gateway: { ...defaults.gateway, ...settings.gateway },
    acme: { ...defaults.acme, ...settings.acme },
    mesh: { ...defaults.mesh, ...settings.mesh },
    egress: settings.egress ?? null,
  }
}

/** The documents of a file; none where there is no file. */
export function readYaml(file: string): unknown[] {
  return existsSync(file)
    ? loadAll(readFileSync(file, 'utf8')).filter((document) => document !== null && document !== undefined)
    : []
}
