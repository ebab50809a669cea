// The register of frame kinds: a code that meant two messages would let one be taken for the other.
import { expect, test } from 'vitest'
import { FAILURE_KIND } from '../../src/net/index.js'
import { Kind } from '../../src/protocol/kinds.js'

test('every kind has a code of its own, a byte that is not the one of failures', () => {
  const codes = Object.values(Kind)
  expect(new Set(codes).size).toBe(codes.length)
  expect(codes.filter((code) => !(Number.isInteger(code) && code > 0 && code < FAILURE_KIND))).toEqual([])
})
