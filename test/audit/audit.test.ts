// The leakage audit on digits: its attacks work where nothing hides the values, come to nothing on what parties see, and
// find a build in which one mask is used again.
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { type Attack, type Audit, type AuditOptions, auditNetwork } from '../../src/audit/audit.js'
import { calibrationOf } from '../../src/files/prepared-model.js'
import { loadModelDirectory } from '../../src/node.js'
import { SEEDS } from '../../src/party/options.js'
import { digits } from '../train/digits.js'

const broken = vi.hoisted(() => ({ on: false }))
// The broken build: the result of the first step has the same mask in every inference, at all parties alike.
vi.mock('../../src/protocol/linear.js', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/protocol/linear.js')>()
  const tensorMask: typeof original.tensorMask = (k, planned, ch, index, inference) => {
    const mask = original.tensorMask(k, planned, ch, index, inference)
    if (broken.on && index === 1) {
      mask.u32().forEach((_, i, words) => {
        words[i] = Math.imul(i + 1, 0x9e3779b1)
      })
    }
    return mask
  }
  return { ...original, tensorMask }
})

/** Chosen, so that a verdict is the same in every run. */
function seeds(): () => Uint8Array {
  let drawn = 0
  return () => {
    drawn++
    return Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? drawn : 7 * i))
  }
}

async function audited(pictures: readonly Float32Array[], options: AuditOptions): Promise<Audit> {
  const model = await loadModelDirectory('models/mnist-cnn3')
  const network = { ...model, calibration: calibrationOf(model) }
  return auditNetwork(network, pictures, { ...options, party: { [SEEDS]: seeds() } as never })
}

const words = ({ target, party, of, by, verdict }: Attack) => `${target} ${party} ${of} ${by} p ${verdict.p}`

describe('an audit', () => {
  let audit: Audit
  beforeAll(async () => {
    audit = await audited(digits(9), { pictures: 50, steps: 30 })
  })
  const of = (target: string) => audit.attacks.filter((attack) => attack.target === target)

  it('rebuilds pictures from plain values, from gradients, and under one mask for all', () => {
    expect(
      of('control')
        .filter(({ found }) => !found)
        .map(words),
    ).toEqual([])
    const [values, gradients, matched, reused] = of('control').map(({ verdict }) => verdict)
    expect(values.hits).toBe(50)
    expect(values.psnr).toBeGreaterThan(20)
    expect(gradients.rank).toBeLessThan(0.1)
    expect([matched.count, matched.hits]).toEqual([8, expect.toSatisfy((hits: number) => hits >= 6)])
    expect(matched.psnr).toBeGreaterThan(matched.unrelated + 0.5)
    expect(reused.rank).toBeLessThan(0.1)
  })

  it('finds nothing in what the parties see', () => {
    expect(
      of('view')
        .filter(({ found }) => found)
        .map(words),
    ).toEqual([])
    const kinds = new Set(of('view').map(({ party, of, by }) => `${party} ${of.split(' of ')[0]} ${by}`))
    for (const kind of ['x̂', 'u', 'δ', 'ŷ', 'reply']) {
      expect([...kinds]).toEqual(expect.arrayContaining([`server ${kind} regression`, `server ${kind} inversion`]))
    }
    expect([...kinds]).toEqual(
      expect.arrayContaining(['client opening inversion', 'helper all messages, as bits regression']),
    )
    expect([...kinds]).toContain('server gradients by x̂ matching')
    const mean = of('view').reduce((sum, { verdict }) => sum + verdict.rank, 0) / of('view').length
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.05)
  })

  it('says what answers give away', () => {
    expect(of('answer').some(({ found, verdict }) => found && verdict.rank < 0.3)).toBe(true)
    expect([audit.leaks, audit.blind, audit.recorded]).toEqual([0, 0, 40])
  })

  it('finds a mask that is used again', async () => {
    broken.on = true
    try {
      const { attacks, leaks } = await audited(digits(6), { pictures: 20, steps: 1 })
      const found = attacks.filter(({ target, found }) => target === 'view' && found)
      expect(found.map(({ party, of, by }) => `${party} ${of} ${by}`)).toContain('server x̂ of relu1 regression')
      expect(leaks).toBe(found.length)
    } finally {
      broken.on = false
    }
  })

  it('asks for enough pictures', async () => {
    await expect(audited(digits(2), { pictures: 10 })).rejects.toMatchObject({ code: 'BAD_INPUT' })
  })
})
