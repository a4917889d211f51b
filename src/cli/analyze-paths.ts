/** Reads and compiles resources as `run` would, once, and gathers everything that is wrong with them. */
import { createCompiler } from '../compile/compile.ts'
import { systemTimers } from '../lib/timers.ts'
import type { Problem } from '../plan/problem.ts'
import { createResourceStore } from '../resources/store.ts'
import { SNAPSHOT_FIELD } from '../resources/snapshot.ts'
import { compileOptions } from '../settings/compile-options.ts'
import type { Settings } from '../settings/load.ts'
import { createFileSource } from '../sources/files/file-source.ts'

export interface Analysis {
  /** By file and line. */
  readonly problems: readonly Problem[]
  /** How many objects are good. */
  readonly resources: number
  /** Some path or file could not be read. */
  readonly unreadable: boolean
}

export async function analyzePaths(settings: Settings): Promise<Analysis> {
  const store = createResourceStore()
  const quiet = { info: () => {}, warn: () => {} }
  const source = createFileSource({
    paths: settings.config,
    store,
    onChange: () => {},
    log: quiet,
    timers: systemTimers(),
  })
  try {
    await source.start()
  } finally {
    await source.close()
  }
  const snapshot = store.snapshot()
  const compiler = createCompiler(compileOptions(settings))
  const compiled = [...compiler.compile(snapshot).problems, ...compiler.analyze(snapshot)]
  const problems = [...source.problems(), ...store.problems(), ...compiled.map((problem) => store.place(problem))]
  return {
    problems: problems.sort(compareProblems),
    resources: Object.values(SNAPSHOT_FIELD).reduce((sum, field) => sum + snapshot[field].length, 0),
    unreadable: problems.some(({ code, severity }) => severity === 'error' && code.startsWith('files/')),
  }
}

/** In the order in which somebody would go through the files; what has no line comes first. */
function compareProblems({ origin: a }: Problem, { origin: b }: Problem): number {
  const [left, right] = [a.source ?? '', b.source ?? '']
  if (left !== right) return left < right ? -1 : 1
  return (a.line ?? 0) - (b.line ?? 0)
}
