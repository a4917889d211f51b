import assert from 'node:assert/strict'
import test from 'node:test'
import { combineMatches } from '../../../../src/compile/routes/delegate-match.ts'
import type { HTTPMatchRequest } from '../../../../src/resources/virtual-service.ts'

type Row = [root: HTTPMatchRequest, delegate: HTTPMatchRequest, combined: HTTPMatchRequest | undefined]

const rows: Record<string, Row> = {
  'what only one side asks for holds': [
    { uri: { prefix: '/a' } },
    { method: { exact: 'GET' } },
    { uri: { prefix: '/a' }, method: { exact: 'GET' } },
  ],
  'equal exact values': [{ uri: { exact: '/a' } }, { uri: { exact: '/a' } }, { uri: { exact: '/a' } }],
  'other exact values': [{ uri: { exact: '/a' } }, { uri: { exact: '/b' } }, undefined],
  'a longer prefix': [{ uri: { prefix: '/a' } }, { uri: { prefix: '/a/b' } }, { uri: { prefix: '/a/b' } }],
  'an exact value below the prefix': [
    { uri: { prefix: '/a' } },
    { uri: { exact: '/a/b' } },
    { uri: { exact: '/a/b' } },
  ],
  'a shorter prefix': [{ uri: { prefix: '/a/b' } }, { uri: { prefix: '/a' } }, undefined],
  'exact above prefix': [{ uri: { exact: '/a' } }, { uri: { prefix: '/a' } }, undefined],
  'a regex is never compared, not even with itself': [{ uri: { regex: '/a' } }, { uri: { regex: '/a' } }, undefined],
  'a prefix above a regex': [{ uri: { prefix: '/a' } }, { uri: { regex: '/a.*' } }, undefined],
  'presence on the root conflicts with any match of the same header': [
    { headers: { x: {} } },
    { headers: { x: { exact: '1' } } },
    undefined,
  ],
  'headers of both sides are joined': [
    { headers: { x: { exact: '1' } } },
    { headers: { y: {} } },
    { headers: { x: { exact: '1' }, y: {} } },
  ],
  'ignoreUriCase must be equal': [{ ignoreUriCase: true }, {}, undefined],
  'the same port': [{ port: 80 }, { port: 80 }, { port: 80 }],
  'another port': [{ port: 80 }, { port: 81 }, undefined],
  'a source namespace must be repeated': [{ sourceNamespace: 'a' }, {}, undefined],
  'a source namespace of the delegate alone': [{}, { sourceNamespace: 'a' }, { sourceNamespace: 'a' }],
  'source labels that differ': [{ sourceLabels: { app: 'a' } }, { sourceLabels: { app: 'b' } }, undefined],
  'source labels are joined': [
    { sourceLabels: { app: 'a' } },
    { sourceLabels: { zone: 'b' } },
    { sourceLabels: { app: 'a', zone: 'b' } },
  ],
  'gateways within the root': [{ gateways: ['a/b', 'a/c'] }, { gateways: ['a/c'] }, { gateways: ['a/c'] }],
  'gateways outside the root': [{ gateways: ['a/b'] }, { gateways: ['a/c'] }, undefined],
  'names are joined': [{ name: 'root' }, { name: 'delegate' }, { name: 'root-delegate' }],
  'one name stays': [{ name: 'root' }, {}, { name: 'root' }],
}

for (const [name, [root, delegate, combined]] of Object.entries(rows)) {
  test(`combineMatches: ${name}`, () => assert.deepEqual(combineMatches(root, delegate), combined))
}
