/** The mesh settings of a plan for tests and benchmarks that are about something else: the defaults. */
import { compileMesh } from '../../src/compile/mesh.ts'
import { defaultCompileOptions } from '../../src/compile/options.ts'
import type { MeshPlan } from '../../src/plan/plan.ts'

/** @param changes What is to be other than a gateway without settings has it. */
export function meshPlan(changes: Partial<MeshPlan> = {}): MeshPlan {
  return { ...compileMesh(defaultCompileOptions(), []), ...changes }
}
