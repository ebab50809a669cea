// Every attribute of every op that the ONNX reader knows, set to a value other than its default: it changes the result, or
// it is an error that names it, or it is listed here with the reason why it may do neither. By onnx/docs/Operators.md and
// Changelog.md, operator sets 1 to 23.
import { describe, expect, it } from 'vitest'
import { convertOnnx } from '../../../src/convert/onnx/onnx.js'
import { READERS } from '../../../src/convert/onnx/readers.js'
import { committedJson } from '../../fixtures/reference-files.js'
import { isFelt, isRefusal, outcome } from '../run-converted.js'
import { CASES, type Case, type Idle, SECOND } from './attribute-cases.js'
import { type Attribute, encodeOnnx } from './encode.js'
import { DIMS, node, scalar, X } from './small-graphs.js'

/** What a graph around the node computes, or the error it is. */
function result(op: string, { before = [], behind, ...given }: Case, more: Readonly<Record<string, Attribute>> = {}) {
  const out = behind ? 'z' : op === 'Split' ? 'y other' : 'y'
  const nodes = [...before, node(op, given.inputs ?? 'x', out, { ...given.has, ...more }), ...(behind ?? [])]
  const file = { inputs: { x: DIMS }, outputs: ['y'], nodes, tensors: given.tensors ?? {}, opset: given.opset ?? 13 }
  return outcome(() => convertOnnx(encodeOnnx(file)), Float32Array.from(X))
}

const isIdle = (set: Attribute | Idle): set is Idle => typeof set === 'object' && 'because' in set
const rows = Object.entries(CASES).flatMap(([op, cases]) =>
  cases.map((each, i) => [`${op}${i > 0 ? ` (${i + 1})` : ''}`, op, each] as const),
)

describe('attributes of ONNX ops', () => {
  it('every op that is read is here', () => {
    expect(Object.keys(CASES)).toEqual([...READERS.keys()].sort())
  })

  it.each(rows)('%s', (_, op, given) => {
    const base = result(op, given)
    if (isRefusal(base) !== !!given.isRefused) expect(base).toBe('')
    const wrong = Object.entries(given.set).filter(([attribute, set]) => {
      const got = result(op, given, { [attribute]: isIdle(set) ? set.value : set })
      return isIdle(set) ? got !== base : !isFelt(attribute, base, got)
    })
    expect(wrong.map(([attribute]) => attribute)).toEqual([])
    if (given.isRefused) return
    // One that no specification has, and hints of the first operator set.
    expect(isFelt('surprise', base, result(op, given, { surprise: 1 }))).toBe(true)
    expect(result(op, given, { consumed_inputs: [0] })).toEqual(base)
  })

  const { defaults } = committedJson('test/vectors/onnx-defaults.json') as {
    defaults: Readonly<Record<string, Readonly<Record<string, Attribute>>>>
  }
  // Those of SELU are taken with more digits than a file has.
  const written = Object.keys(defaults).filter((op) => op !== 'Selu')
  it.each(written)('%s: what an exporter writes out at its default changes nothing', (op) => {
    const [given] = CASES[op]
    const base = result(op, given)
    const wrong = Object.entries(defaults[op]).filter(([attribute, value]) => {
      return given.has?.[attribute] === undefined && result(op, given, { [attribute]: value }) !== base
    })
    expect(wrong).toEqual([])
  })

  it('one of another kind, and a zero of which proto3 leaves the type alone', () => {
    const alpha = (value: Attribute) => result('LeakyRelu', { set: {} }, { alpha: value })
    expect(alpha(2)).toBe('BAD_FILE: graph.node[0] (LeakyRelu): alpha: expected a float, got 2')
    expect(alpha({ type: 1 })).toBe(alpha({ float: 0 }))
    expect(alpha({ type: 1 })).not.toBe(alpha({ float: 0.01 }))
  })

  it('an input that its op does not have; a dropout that drops', () => {
    expect(result('Relu', { inputs: 'x k', tensors: SECOND, set: {} })).toMatch(
      /Relu\): input 1 "k": an input that is not known here/,
    )
    const tensors = { ratio: scalar(0.5), on: { dims: [], data: [1], as: 'int64' } } as const
    const dropout = (inputs: string) => result('Dropout', { inputs, tensors, set: {} })
    expect(dropout('x ratio')).toBe(dropout('x'))
    expect(dropout('x ratio on')).toMatch(/^UNSUPPORTED.*training mode/)
  })
})
