/** Resources read from YAML are copied into less memory; nothing of them may be lost on the way. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadAll } from 'js-yaml'
import { parseObject } from '../../../src/resources/parse.ts'
import { parseText } from '../../../src/sources/files/yaml.ts'
import { virtualService } from '../../../loadtest/scale/resources.ts'

test('a resource read from a file is the one that its object stands for', () => {
  const text = virtualService(1, 2)
  const { documents } = parseText(text)
  assert.deepEqual(
    documents.map(({ result }) => result),
    loadAll(text).map((value) => parseObject(value)),
  )
})

test('a resource and its identity share their metadata', () => {
  const [document] = parseText(virtualService(1, 2)).documents
  assert.ok(document?.result.resource !== undefined)
  assert.equal(document.result.identity?.metadata, document.result.resource.metadata)
})

test('with anchors, one value may stand in many places', () => {
  const text = virtualService(1, 2).replace('hosts:', 'hosts: &hosts').replace('gateways:', 'exportTo: []\n  gateways:')
  const { documents, failures } = parseText(`${text}# &\n`)
  assert.deepEqual(failures, [])
  assert.equal(documents[0]?.result.resource?.kind, 'VirtualService')
})
