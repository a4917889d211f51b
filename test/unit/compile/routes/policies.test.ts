import assert from 'node:assert/strict'
import test from 'node:test'
import { compileCors } from '../../../../src/compile/routes/cors.ts'
import { compileFault, toFraction } from '../../../../src/compile/routes/fault.ts'
import { gatewayReference } from '../../../../src/compile/routes/gateway-names.ts'
import { joinOperations, readOperations } from '../../../../src/compile/routes/headers.ts'
import { compileRetries } from '../../../../src/compile/routes/retries.ts'

test('retries: without a block there are two, to other hosts, with the default conditions', () => {
  assert.deepEqual(compileRetries(undefined), {
    attempts: 2,
    conditions: ['connect-failure', 'refused-stream', 'unavailable', 'cancelled', 'retriable-status-codes'],
    statusCodes: [],
    perTryTimeoutMs: null,
    backoffBaseMs: 25,
    backoffMaxMs: 250,
    avoidPreviousHosts: true,
  })
})

test('retries: a block without attempts switches them off', () => {
  assert.equal(compileRetries({}), null)
  assert.equal(compileRetries({ attempts: 0 }), null)
})

test('retries: only a rule that asks for other hosts gets them where a hash says otherwise', () => {
  const policyOf = (spec: object) => compileRetries({ attempts: 1, ...spec })
  assert.equal(policyOf({})?.evenWhenHashed, undefined)
  assert.equal(policyOf({ retryIgnorePreviousHosts: true })?.evenWhenHashed, true)
  assert.equal(policyOf({ retryIgnorePreviousHosts: false })?.avoidPreviousHosts, false)
})

const retryOn: Record<string, [retryOn: string, conditions: string[], statusCodes: number[]]> = {
  'names in their order': ['5xx,reset', ['5xx', 'reset'], []],
  'blanks around names': [' 5xx , reset ', ['5xx', 'reset'], []],
  'numbers are status codes and switch their condition on': ['503,5xx', ['5xx', 'retriable-status-codes'], [503]],
  'the condition is not repeated': ['retriable-status-codes,503', ['retriable-status-codes'], [503]],
  'only numbers': ['502,503', ['retriable-status-codes'], [502, 503]],
}

for (const [name, [text, conditions, statusCodes]] of Object.entries(retryOn)) {
  test(`retryOn: ${name}`, () => {
    const policy = compileRetries({ attempts: 1, retryOn: text })
    assert.deepEqual([policy?.conditions, policy?.statusCodes], [conditions, statusCodes])
  })
}

test('faults: a percentage below a millionth is none, and 100 is all', () => {
  assert.equal(toFraction({ value: 0.0001 }, 0), 0.000001)
  assert.equal(toFraction({ value: 33.3333 }, 0), 0.333333)
  assert.equal(toFraction({ value: 100 }, 0), 1)
  assert.equal(toFraction({}, 100), 0)
  assert.equal(toFraction(undefined, 100), 1)
})

test('faults: the deprecated percent of a delay counts where there is no percentage', () => {
  assert.deepEqual(compileFault({ delay: { fixedDelay: '1s', percent: 50 } }), {
    delay: { fraction: 0.5, delayMs: 1000 },
  })
  assert.equal(compileFault({ delay: { fixedDelay: '1s' } }), undefined)
  assert.equal(compileFault({ abort: { httpStatus: 500 } }), undefined)
  assert.equal(compileFault(undefined), undefined)
})

test('cors: the deprecated list of origins is exact, and only used without the new one', () => {
  const exact = (value: string) => ({ kind: 'exact', value })
  assert.deepEqual(compileCors({ allowOrigin: ['*', 'https://a.test'] })?.allowOrigins, [
    exact('*'),
    exact('https://a.test'),
  ])
  assert.deepEqual(compileCors({ allowOrigin: ['*'], allowOrigins: [{ exact: 'b' }] })?.allowOrigins, [exact('b')])
})

test('cors: what is not set sends no header, and preflights of other origins go on', () => {
  assert.deepEqual(compileCors({}), { allowOrigins: [], allowCredentials: false, forwardUnmatchedPreflights: true })
})

test('headers: names are in lower case and in order, and Host is apart', () => {
  assert.deepEqual(readOperations({ set: { 'X-B': '1', Host: 'inner', 'X-A': '2' }, remove: ['X-C'] }), {
    headers: {
      remove: ['x-c'],
      set: [
        ['x-a', '2'],
        ['x-b', '1'],
      ],
      add: [],
    },
    host: 'inner',
  })
  assert.deepEqual(readOperations({ add: { ':authority': 'inner' } }), { headers: undefined, host: 'inner' })
  assert.deepEqual(readOperations({ set: { host: 'set' }, add: { host: 'add' } }).host, 'set')
  assert.deepEqual(readOperations({}), { headers: undefined, host: undefined })
})

test('headers: of two joined lists the second comes last, so its set wins', () => {
  const first = { remove: ['a'], set: [['x', '1']] as const, add: [] }
  const second = { remove: [], set: [['x', '2']] as const, add: [['y', '3']] as const }
  assert.deepEqual(joinOperations(first, second), {
    remove: ['a'],
    set: [
      ['x', '1'],
      ['x', '2'],
    ],
    add: [['y', '3']],
  })
  assert.equal(joinOperations(undefined, second), second)
  assert.equal(joinOperations(first, undefined), first)
})

const references: Record<string, [written: string, name: string]> = {
  'a bare name is in the own namespace': ['gw', 'shop/gw'],
  'a dot is the own namespace': ['./gw', 'shop/gw'],
  'a namespace': ['edge/gw', 'edge/gw'],
  'the old dotted form': ['gw.edge.svc.cluster.local', 'edge/gw'],
  'the old dotted form without a domain': ['gw.edge', 'edge/gw'],
  sidecars: ['mesh', 'mesh'],
}

for (const [name, [written, full]] of Object.entries(references)) {
  test(`gatewayReference: ${name}`, () => assert.equal(gatewayReference(written, 'shop'), full))
}
