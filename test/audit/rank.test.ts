// The audit's statistics: p is uniform where there is nothing to find and small where there is, and regression finds what is
// linear in a view and nothing else.
import { describe, expect, it } from 'vitest'
import { verdictOf } from '../../src/audit/rank.js'
import { regressed } from '../../src/audit/regress.js'
import { Uniform } from '../../src/gradient/uniform.js'

const { next: random } = new Uniform(5)
const pictures = (count: number, size = 12) =>
  Array.from({ length: count }, () => Float32Array.from({ length: size }, (_, i) => i / size + random()))

describe('verdictOf', () => {
  it('finds what is there, and nothing in noise, whatever all have in common', () => {
    const own = pictures(30)
    const near = own.map((picture) => picture.map((v) => 3 + 0.5 * v + 0.2 * random()))
    const found = verdictOf(near, own, 5000)
    expect([found.hits, found.p < 1 / 4000]).toEqual([30, true])
    expect(found.psnr).toBeGreaterThanOrEqual(found.unrelated)
    const ps = Array.from({ length: 60 }, () => verdictOf(pictures(20), pictures(20), 1000).p)
    expect(ps.filter((p) => p < 0.5).length).toBeGreaterThan(15)
    expect(ps.filter((p) => p < 0.5).length).toBeLessThan(45)
    expect(Math.min(...ps)).toBeGreaterThan(1 / 1001)
  })

  it('counts ranks and decibels', () => {
    const own = [Float32Array.of(0, 1, 0), Float32Array.of(1, 0, 0), Float32Array.of(0, 0, 1)]
    const { hits, rank, psnr, count } = verdictOf(own, own, 100)
    expect({ hits, rank, psnr, count }).toEqual({ hits: 3, rank: 0, psnr: 100, count: 3 })
    const wrong = verdictOf([own[1], own[2], own[0]], own, 100)
    expect([wrong.hits, wrong.rank > 0, wrong.p > 0.5]).toEqual([0, true, true])
    expect(wrong.psnr).toBeCloseTo(-10 * Math.log10(2 / 3), 5)
  })
})

describe('regressed', () => {
  const all = pictures(80)
  const masks = Array.from({ length: 80 }, () => Int32Array.from({ length: 12 }, () => Math.floor(2 ** 24 * random())))
  const view = (mask: (i: number) => Int32Array) =>
    all.map((picture, i) => Int32Array.from(picture, (v, e) => (Math.round(1024 * v) - mask(i)[e]) & 0xffffff))
  const verdict = (words: Int32Array[]) =>
    verdictOf(regressed({ words, bits: 24 }, all.slice(20), 20), all.slice(0, 20), 2000)

  it('finds one mask for all, through the ring', () => {
    expect(verdict(view(() => masks[7]))).toMatchObject({ hits: 20, rank: 0 })
  })

  it('finds nothing under fresh masks', () => {
    expect(verdict(view((i) => masks[i])).p).toBeGreaterThan(0.01)
  })

  it('finds signs in bits', () => {
    const bytes = all.map((picture) => {
      const bits = Array.from(picture, (v, i) => Number(v > i / 12 + 0.5))
      return Uint8Array.of(...[0, 8].map((at) => bits.slice(at, at + 8).reduce((sum, b, k) => sum | (b << k), 0)))
    })
    const found = verdictOf(regressed({ bytes }, all.slice(20), 20), all.slice(0, 20), 2000)
    expect(found.p).toBeLessThan(1 / 1500)
  })
})
