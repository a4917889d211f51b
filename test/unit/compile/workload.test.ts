import assert from 'node:assert/strict'
import test from 'node:test'
import { defaultCompileOptions } from '../../../src/compile/options.ts'
import { createWorkload, type Labels } from '../../../src/compile/workload.ts'
import { gateway } from './snapshots.ts'

function workload(labels: Labels | null) {
  const options = defaultCompileOptions()
  return createWorkload({ ...options, gateway: { ...options.gateway, labels } }, [gateway()])
}

type Row = [selector: Labels | undefined, serves: boolean, isSelectedBy: boolean, mayBeSelectedBy: boolean]

const known: Record<string, Row> = {
  'no selector is for everybody': [undefined, true, true, true],
  'an empty selector is for everybody': [{}, true, true, true],
  'every pair is there': [{ istio: 'ingressgateway' }, true, true, true],
  'one pair is missing': [{ istio: 'ingressgateway', app: 'x' }, false, false, false],
}

for (const [name, [selector, serves, is, may]] of Object.entries(known)) {
  test(`labels are known: ${name}`, () => {
    const own = workload({ istio: 'ingressgateway', zone: 'a' })
    assert.deepEqual(
      [own.serves(selector), own.isSelectedBy(selector), own.mayBeSelectedBy(selector)],
      [serves, is, may],
    )
  })
}

const unknown: Record<string, Row> = {
  'every Gateway is served': [{ istio: 'egressgateway' }, true, false, false],
  'what a Gateway selects counts as a label': [{ istio: 'ingressgateway' }, true, true, true],
  'a key that no Gateway names may be ours': [{ app: 'x' }, true, false, true],
  'no selector is for everybody': [undefined, true, true, true],
}

for (const [name, [selector, serves, is, may]] of Object.entries(unknown)) {
  test(`labels are not known: ${name}`, () => {
    const own = workload(null)
    assert.deepEqual(
      [own.serves(selector), own.isSelectedBy(selector), own.mayBeSelectedBy(selector)],
      [serves, is, may],
    )
  })
}
