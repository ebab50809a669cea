// What a client on some host prints, judged by the integer reference.
import { expect } from 'vitest'
import type { Compiled } from '../../src/plan/compile/compile.js'
import { encodeFixed } from '../../src/ring/codec.js'
import { revealMasks, runReference } from '../../src/testing.js'
import type { Party } from './hosts.js'

export interface ClientReport {
  readonly raw: readonly number[]
  readonly inference: number
  readonly session: readonly number[]
  readonly ch: readonly number[]
  readonly model: readonly number[]
}

const bytes = (list: readonly number[]) => Uint8Array.from(list)

/** The client's answer is the reference's, under the masks of its run, bit for bit. */
export async function expectReference(compiled: Compiled, report: ClientReport, server: Party): Promise<void> {
  const id = report.session.join()
  const { sh } = await server.line<{ sh: number[] }>((line) => (line.session as number[] | undefined)?.join() === id)
  const seeds = { ch: bytes(report.ch), sh: bytes(sh), model: bytes(report.model) }
  const { plan, model } = compiled
  const size = plan.input.shape.reduce((a, b) => a * b)
  const input = Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7))
  const masks = revealMasks(plan, seeds, report.inference)
  const { output } = runReference(plan, model, encodeFixed(input, plan.input.scale, plan.input.bits), masks)
  expect(report.raw).toEqual([...output])
}
