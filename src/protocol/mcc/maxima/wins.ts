// How many others every channel is not below, position by position, in one round trip (docs/protocol.md, "Wins"): what a label is
// found by. Every value is opened once; chains run on what each channel and the one so many further on, counted around, differ by.
//
//   off line   helper → server   tables of all chains, corrections of their [ρ]
//   on line 1  server → client   e = (ŷ >> f) - a' of every value, table rows
//   on line 2  client → server   β per chain, z_C - r_next per value
//              server            x̂_next = z_S + that
import { pack, packedBytes, unpack } from '../../../kernels/bits.js'
import type { Kernels, Region } from '../../../kernels/instance.js'
import { addTruncated, maskTruncated, type Side, select } from '../../../kernels/mcc.js'
import { add32, sub32 } from '../../../kernels/ring.js'
import { Purpose, type Streams } from '../../../random/streams.js'
import type { ReluNumbers } from '../../layout.js'
import { addConstant, grouped } from '../bends.js'
import { dealComparison, openRows, padsOf, walk } from '../comparison.js'
import { comparing, type Dealing, type Drawing, type Drawn, type Opened, type Opening } from '../gadget.js'
import { openingMask, reluSizes, truncated } from '../relu.js'
import { chainOf, type WinsStep } from '../step.js'

/** Byte lengths of a step's messages: those of its comparisons, and [ρ] alone. */
export const winsSizes = (step: WinsStep<ReluNumbers>, ring: number) => ({
  ...reluSizes(step, ring),
  words: packedBytes(step.relu.comparisons, ring),
})

export const winsLengths = comparing(winsSizes)

/**
 * For every distance up to half the channels, the words of both channels that are so far apart: those that are `near` and those
 * that meet them counted around, a lower channel. Offsets and counts in bytes.
 */
function eachMeeting(
  { size, step }: Pick<WinsStep, 'size' | 'step'>,
  visit: (at: { first: number; second: number; bytes: number; around: boolean }, list: number) => void,
): void {
  const [channels] = step.out
  const plane = (4 * size) / channels
  for (let by = 1; by <= channels >> 1; by++) {
    const [turn, rest] = [by * plane, 4 * size - by * plane]
    const list = (by - 1) * 4 * size
    visit({ first: 0, second: turn, bytes: rest, around: false }, list)
    visit({ first: rest, second: 0, bytes: turn, around: true }, list)
  }
}

/** What all that meet differ by, mod 2^n', in whole groups. The caller releases it. @param ties of e: a lower channel wins them */
export function meetings(k: Kernels, step: WinsStep, x: Region, ties = false): Region {
  const { bits } = step.activation
  const out = grouped(k, step.relu.comparisons)
  eachMeeting(step, ({ first, second, bytes, around }, list) => {
    const [count, to] = [bytes / 4, out.part(list + first, bytes)]
    maskTruncated(k, x.part(first, bytes), x.part(second, bytes), count, 0, bits, to)
    if (ties && around) addConstant(k, to, count, -1, bits)
  })
  return out
}

/** Helper: tables and [ρ] of a step. */
export function dealWins({ k, streams, m, inference, ring }: Dealing, step: WinsStep, message: Region): void {
  const { relu, activation, index } = step
  const { tables, words } = winsSizes(step, ring)
  const a = openingMask(streams.sh, step, inference)
  const opened = truncated(k, step, m!, a, addTruncated)
  const r = meetings(k, step, opened)
  const address = { layer: index, inference }
  const dealt = dealComparison(k, chainOf(activation), relu.comparisons, r, streams, address)
  message.u8().set(dealt.tables.u8().subarray(0, tables))
  pack(k, dealt.rhoWords, relu.comparisons, ring, message.part(tables, words))
  for (const region of [a, opened, r, dealt.rho]) region.release(true)
  for (const region of [dealt.tables, dealt.rhoWords]) region.release()
}

/** Server, flight 1: e of every value, rows of all chains. */
export function openWins({ k, sh, y, dealt, inference, ring }: Opening, step: WinsStep): Opened {
  const { relu, activation, size } = step
  const sizes = winsSizes(step, ring)
  const a = openingMask(sh, step, inference)
  const opened = truncated(k, step, y, a, maskTruncated)
  const message = k.memory.alloc(sizes.opening)
  pack(k, opened, size, activation.bits, message)
  const e = meetings(k, step, opened, true)
  openRows(k, chainOf(activation), relu.comparisons, e, dealt, message.part(sizes.opened, sizes.rows))
  for (const region of [a, opened, e]) region.release()
  return {
    message: () => message,
    finish(reply, dealt) {
      const rho = k.memory.alloc(relu.comparisons * 4)
      unpack(k, dealt, relu.comparisons, ring, rho)
      const z = k.memory.alloc(size * 4)
      unpack(k, reply.part(sizes.beta, sizes.reply - sizes.beta), size, ring, z)
      // Of every two that meet one wins: who comes second as often as who comes first does not.
      addConstant(k, z, size, step.step.out[0] >> 1, 32)
      addWins(k, 'server', step, rho, reply, z)
      rho.release()
      return z
    },
    release() {},
  }
}

/** Client: pads and halves. */
export function drawWins({ k, ch, next, inference, ring }: Drawing, step: WinsStep): Drawn {
  const { relu, activation, size, index } = step
  const chain = chainOf(activation)
  const sizes = winsSizes(step, ring)
  const address = { layer: index, inference }
  const pads = padsOf(chain, relu.comparisons, ch, address)
  const rho = rhoHalves(ch, step, inference)
  return {
    answer(message, reply) {
      const opened = grouped(k, size)
      unpack(k, message, size, activation.bits, opened)
      const e = meetings(k, step, opened, true)
      const beta = walk(k, chain, relu.comparisons, e, message.part(sizes.opened, sizes.rows), pads)
      reply.u8().set(beta.u8().subarray(0, sizes.beta))
      const z = k.memory.allocZero(size * 4)
      sub32(k, z, next, z, size)
      addWins(k, 'client', step, rho, beta, z)
      pack(k, z, size, ring, reply.part(sizes.beta, sizes.reply - sizes.beta))
      for (const region of [opened, e, beta]) region.release()
      z.release(true)
    },
    release() {
      for (const region of [pads, rho]) region.release()
    },
  }
}

const rhoHalves = (ch: Streams, { index, relu }: WinsStep, inference: number): Region =>
  ch.take({ purpose: Purpose.rhoHalf, layer: index, inference }, relu.comparisons * 4)

/** Adds one party's shares of all wins to `z`: b to who comes first, -b to who comes second. */
function addWins(k: Kernels, side: Side, step: WinsStep, rho: Region, beta: Region, z: Region): void {
  const { bits } = step.activation
  const { comparisons } = step.relu
  const [zero, one, b] = [0, 1, 2].map(() => k.memory.allocZero(comparisons * 4))
  // A select of the public value 1: what is opened of it, less what a select adds.
  one.u32().fill((1 - 2 ** (bits - 2)) & (2 ** bits - 1))
  const none = { p: zero, q: zero, a1: zero, mu: zero, other: zero }
  select(k, side, comparisons, bits, { ...none, e: one, beta, rho, out: b })
  eachMeeting(step, ({ first, second, bytes }, list) => {
    const [bits, winner, loser] = [b.part(list + first, bytes), z.part(first, bytes), z.part(second, bytes)]
    add32(k, winner, bits, winner, bytes / 4)
    sub32(k, loser, bits, loser, bytes / 4)
  })
  for (const region of [zero, one, b]) region.release()
}
