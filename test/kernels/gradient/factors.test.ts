// Activations mixed with their input by a factor per element, against their definition, on both builds.
import { it } from 'vitest'
import * as maps from '../../../src/kernels/gradient/maps.js'
import type { Sums } from '../float/float-twin.js'
import { close, numbers, onBoth } from './both-builds.js'

it.each([
  [0, Number.POSITIVE_INFINITY],
  [-0.25, 0.5],
])('between %d and %d are mixed with their input, and the way back', (low, high) => {
  for (let n = 1; n <= 23; n++) {
    const [x, a, g] = [numbers(n, n), numbers(n, n + 50).map((v, i) => (i % 4 ? Math.abs(v) : i & 1)), numbers(n, 7)]
    const cut = (v: number) => Math.min(Math.max(v, low), high)
    const wanted = {
      out: Array.from(x, (v, i) => (cut(v) === v ? [v] : [a[i] * cut(v), (1 - a[i]) * v])),
      g: Array.from(g, (d, i) => (cut(x[i]) === x[i] ? [d] : [(1 - a[i]) * d])),
      sums: Array.from(g, (d, i) => [1, d * cut(x[i]), -d * x[i]]),
    }
    const out = onBoth('mixed', (k, place, room) => {
      const to = room(n)
      maps.mixedClampF32(k, place(x), place(a), { low, high }, to, n)
      return to
    })
    const back = onBoth('back', (k, place, room) => {
      const to = room(2 * n)
      to.f32().set(g)
      to.f32().fill(1, n)
      maps.mixedClampGradF32(k, place(x), place(a), { low, high }, to.part(0, 4 * n), to.part(4 * n, 4 * n), n)
      return to
    })
    const sumsOf = (terms: number[][]): Sums => ({
      values: Float64Array.from(terms, (list) => list.reduce((sum, term) => sum + term, 0)),
      sizes: Float64Array.from(terms, (list) => list.reduce((sum, term) => sum + Math.abs(term), 0)),
    })
    close('mixed', out, sumsOf(wanted.out))
    close('gradient', back.subarray(0, n), sumsOf(wanted.g))
    close('factors', back.subarray(n), sumsOf(wanted.sums))
  }
})
