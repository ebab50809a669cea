// Which values of a network nobody reads any more.
import { expect, it } from 'vitest'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { lastReads } from '../../../src/plan/reads.js'

const arch = parseArchitecture({
  format: 'arch/1',
  name: 'branches',
  inputs: [{ name: 'x', shape: [2, 4, 4] }],
  outputs: ['sum'],
  layers: [
    { id: 'a', op: 'relu', in: ['x'] },
    { id: 'unused', op: 'relu', in: ['a'] },
    { id: 'b', op: 'relu', in: ['a'] },
    { id: 'sum', op: 'add', in: ['b', 'x'] },
  ],
})

it('by the layer that reads them last; outputs stay', () => {
  expect([...lastReads(arch, new Map())]).toEqual([
    ['a', []],
    ['unused', ['unused']],
    ['b', ['a']],
    ['sum', ['x', 'b']],
  ])
})

it("a curve reads its root when it ends, after the root's other readers", () => {
  const curves = new Map([['sum', { root: 'a' }]]) as never
  expect(lastReads(arch, curves).get('b')).toEqual([])
  expect(lastReads(arch, curves).get('sum')).toEqual(['x', 'a', 'b'])
})
