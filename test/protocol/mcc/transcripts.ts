// Real gadgets at real widths, and what each party sees of them, byte by byte.
import { unpack } from '../../../src/kernels/bits.js'
import { type Kernels, loadKernels, type Region, upload } from '../../../src/kernels/instance.js'
import { groupsOf, readRows, rowBytes, tableBytes } from '../../../src/kernels/mcc.js'
import type { Compiled } from '../../../src/plan/compile/compile.js'
import { weightKey } from '../../../src/plan/compile/compile.js'
import type { MccPlan } from '../../../src/plan/plan.js'
import { tensorMask } from '../../../src/protocol/linear.js'
import { copies } from '../../../src/protocol/mcc/bends.js'
import { dealInference, uploadInference } from '../../../src/protocol/mcc/dealing.js'
import { draw, gadgetSizes, open } from '../../../src/protocol/mcc/gadgets.js'
import { unpackLong } from '../../../src/protocol/mcc/guard/words.js'
import { sendInput, takeInput } from '../../../src/protocol/mcc/input.js'
import { runLinear } from '../../../src/protocol/mcc/linear.js'
import {
  emptyMaterial,
  releaseMaterial,
  type StepMaterial,
  takeDealt,
  takeDelta,
} from '../../../src/protocol/mcc/material.js'
import { differences, maxPoolSizes, unpackSets } from '../../../src/protocol/mcc/maxima/max-pool.js'
import { meetings, winsSizes } from '../../../src/protocol/mcc/maxima/wins.js'
import {
  answerRelu,
  drawOpening,
  drawRelu,
  finishRelu,
  openRelu,
  reluMaterial,
  reluSizes,
} from '../../../src/protocol/mcc/relu.js'
import {
  type AnsweredStep,
  type CurveStep,
  chainOf,
  isCurve,
  isMaxPool,
  isQuadratic,
  isWins,
  type MaxPoolStep,
  type MccSteps,
  opens,
  type ReluStep,
} from '../../../src/protocol/mcc/step.js'
import type { SelectWords } from '../../../src/protocol/mcc/words.js'
import { isActive, isProduct, layOut } from '../../../src/protocol/step.js'
import { fillModelMask, type ModelShare, packShare } from '../../../src/protocol/weights.js'
import { Purpose, type Streams } from '../../../src/random/streams.js'
import { honest, type Streamed } from '../../fixtures/faulty-streams.js'

/** How often each byte value stands at each place of a view. */
export class Tally {
  #counts = new Uint32Array(0)
  #at = 0
  runs = 0

  /** The bytes that follow, in this run. */
  add(bytes: Uint8Array): void {
    const need = 256 * (this.#at + bytes.length)
    if (need > this.#counts.length) {
      const grown = new Uint32Array(need)
      grown.set(this.#counts)
      this.#counts = grown
    }
    for (let i = 0; i < bytes.length; i++) this.#counts[256 * (this.#at + i) + bytes[i]]++
    this.#at += bytes.length
  }

  endRun(): void {
    this.#at = 0
    this.runs++
  }

  get places(): number {
    return this.#counts.length / 256
  }

  /** Largest ratio of a byte's two-sample chi-square to its limit; beyond 1 the views differ. */
  against(other: Tally): number {
    let worst = 0
    for (let place = 0; place < this.places; place++) {
      const range = [256 * place, 256 * (place + 1)] as const
      worst = Math.max(worst, ratio(this.#counts.subarray(...range), other.#counts.subarray(...range)))
    }
    return worst
  }
}

function ratio(a: Uint32Array, b: Uint32Array): number {
  let chi = 0
  let bins = 0
  for (let i = 0; i < 256; i++) {
    const sum = a[i] + b[i]
    if (sum === 0) continue
    bins++
    chi += (a[i] - b[i]) ** 2 / sum
  }
  return bins < 2 ? 0 : chi / chiLimit(bins - 1)
}

/** Upper 1e-6 quantile of chi-square (Wilson and Hilferty's approximation, on the safe side for few degrees). */
function chiLimit(degrees: number): number {
  const spread = 2 / (9 * degrees)
  return degrees * (1 - spread + 4.7534 * Math.sqrt(spread)) ** 3
}

/** What two chains of a value have in common: the XOR of a message's halves. */
const halvesApart = (bytes: Uint8Array): Uint8Array =>
  bytes.slice(0, bytes.length / 2).map((byte, i) => byte ^ bytes[bytes.length / 2 + i])

/** What the chains of a window's first and last difference have in common. */
const thirdsApart = (bytes: Uint8Array): Uint8Array => {
  const third = bytes.length / 3
  return bytes.slice(0, third).map((byte, i) => byte ^ bytes[2 * third + i])
}

/** What the words of a difference's two selects have in common, beside e: with one half for both it would be the difference at times. */
function setsApart(k: Kernels, step: MaxPoolStep, e: Region, dealt: Region, ring: number): Uint8Array {
  const sets = unpackSets(k, step, ring, dealt)
  const [first, second] = sets.map(({ p }) => p.u32())
  const apart = Uint16Array.from({ length: first.length }, (_, i) => first[i] - second[i] + e.u32()[i])
  for (const set of sets) set.release()
  return new Uint8Array(apart.buffer)
}

/** What the words [ρA_0] of a value's two selects have in common, beside e: with one half it would be y' at times. */
function selectsApart({ size }: ReluStep, e: Region, { p }: SelectWords): Uint8Array {
  const words = p.u32()
  const apart = Uint16Array.from({ length: size }, (_, i) => words[i] - words[size + i] + e.u32()[i])
  return new Uint8Array(apart.buffer)
}

/** What [ω] and [μ] of a value have in common, beside the top of its share: with one half it would tell of m'. */
function wrapsApart({ activation, relu }: ReluStep, share: Region, { omega, mu }: SelectWords): Uint8Array {
  const shift = activation.truncate + activation.bits - 3
  return Uint8Array.from({ length: relu.opened.values }, (_, i) => {
    const top = relu.openedElement ? 0 : (share.u32()[i] >>> shift) & 7
    return 8 * (omega.u32()[i] - mu.u32()[i]) + top
  })
}

/** All three parties of one plan, without links: messages go into the tallies of those who see them. */
export class Transcripts {
  readonly #k = loadKernels()
  readonly #planned: MccSteps
  readonly #ch: Streams
  readonly #sh: Streams
  readonly #own: Streams
  #shares!: { w: ModelShare; b: ModelShare; f: ModelShare }

  private constructor(
    readonly compiled: Compiled<MccPlan>,
    { ch = honest, own = honest }: Streamed,
  ) {
    const k = this.#k
    this.#planned = layOut(k, compiled.plan)
    this.#ch = ch(k, new Uint8Array(32).fill(1))
    this.#sh = honest(k, new Uint8Array(32).fill(2))
    this.#own = own(k, new Uint8Array(32).fill(3))
  }

  static async of(compiled: Compiled<MccPlan>, streamed: Streamed = {}): Promise<Transcripts> {
    const made = new Transcripts(compiled, streamed)
    const k = made.#k
    const { plan, model } = compiled
    const seed = honest(k, new Uint8Array(32).fill(4))
    const w = await packShare(k, plan, ({ step, operation }, words) => {
      words.i32().set(model.weights.get(weightKey(step, operation))!)
    })
    const b = await packShare(k, plan, (slot, words) => fillModelMask(seed, slot, words))
    const f = await packShare(k, plan, (slot, words) => {
      fillModelMask(seed, slot, words)
      const weights = model.weights.get(weightKey(slot.step, slot.operation))!
      const masked = words.i32()
      for (let i = 0; i < masked.length; i++) masked[i] = weights[i] - masked[i]
    })
    made.#shares = { w, b, f }
    return made
  }

  /** One inference, start to end. */
  async run(input: Int32Array, inference: number, server: Tally, client: Tally): Promise<void> {
    const k = this.#k
    const { steps } = this.#planned
    const material = emptyMaterial(k, steps, null, this.compiled.model.bias)
    const streams = { ch: this.#ch, sh: this.#sh, own: this.#own }
    await dealInference(k, this.#planned, this.#shares.f, streams, inference, (step, message) => {
      server.add(message.u8())
      takeDealt(k, this.#planned, null, step, message.u8().slice(), material)
    })
    await uploadInference(k, this.#planned, this.#shares.b, this.#ch, inference, (step, message) => {
      server.add(message.u8())
      takeDelta(k, this.#planned, step, message.u8().slice(), material)
    })
    const first = sendInput(k, this.#planned, this.#ch, input, inference)
    server.add(first.u8())
    const tensors = [takeInput(k, this.#planned, first.u8().slice())]
    first.release()
    const source = { tensor: (i: number) => tensors[i], weights: this.#shares.w.weights, lifts: true }
    for (const step of steps) {
      const own = material.steps.get(step.index)!
      if (!isProduct(step)) {
        runLinear(k, step, source, own.c)
        server.add(own.c.u8()) // its share y - m, which follows from what it received
      }
      if (!opens(step)) continue
      const plain = isActive(step) && !isCurve(step) && !isQuadratic(step) && !isMaxPool(step) && !isWins(step)
      const run = plain ? this.#relu(step, own, inference, server, client) : undefined
      tensors.push(run ?? this.#answered(step, own, tensors, inference, server, client))
    }
    for (const tensor of tensors) tensor.release()
    releaseMaterial(material)
    server.endRun()
    client.endRun()
  }

  /** Any gadget, as the parties walk it. */
  #answered(
    step: AnsweredStep,
    { c: y, dealt }: StepMaterial,
    tensors: readonly Region[],
    inference: number,
    server: Tally,
    client: Tally,
  ): Region {
    const k = this.#k
    const { ring } = this.compiled.plan
    const mask = (index: number) => tensorMask(k, this.#planned, this.#ch, index, inference)
    const tensor = (index: number) => tensors[index]
    const opened = open({ k, sh: this.#sh, y, tensor, dealt: dealt!.opening, inference, ring }, step)
    const message = opened.message(0)
    const e = isActive(step) ? this.#openedWords(step, message) : null
    if (isActive(step) && isQuadratic(step)) {
      const sizes = reluSizes(step, ring)
      client.add(message.u8().subarray(0, sizes.opened))
      client.add(this.#unpadded(step, message, inference))
      const moved = copies(k, step, e!, true)
      for (const by of [0x1111, 0x3377]) {
        server.add(this.#difference(step, moved, dealt!.opening, by))
        server.add(halvesApart(this.#difference(step, this.#unmoved(step, e!), dealt!.opening, by)))
      }
      moved.release()
    } else if (isActive(step) && isMaxPool(step)) {
      const moved = differences(k, step, e!)
      const lists = moved.part(moved.byteLength / 4, (3 * moved.byteLength) / 4)
      client.add(message.u8().subarray(0, maxPoolSizes(step, ring).opened))
      client.add(this.#unpadded(step, message, inference, lists))
      const first = lists.u8().slice(0, lists.byteLength / 3)
      const alike = upload(k.memory, new Uint8Array([...first, ...first, ...first]))
      for (const by of [0x1111, 0x3377]) {
        server.add(this.#difference(step, lists, dealt!.opening, by))
        server.add(thirdsApart(this.#difference(step, alike, dealt!.opening, by)))
      }
      server.add(setsApart(k, step, lists, dealt!.reply, ring))
      for (const region of [moved, alike]) region.release()
    } else if (isActive(step) && isWins(step)) {
      const met = meetings(k, step, e!, true)
      client.add(message.u8().subarray(0, winsSizes(step, ring).opened))
      client.add(this.#unpadded(step, message, inference, met))
      const first = met.u8().slice(0, met.byteLength / 2)
      const alike = upload(k.memory, new Uint8Array([...first, ...first]))
      for (const by of [0x1111, 0x3377]) {
        server.add(this.#difference(step, met, dealt!.opening, by))
        server.add(halvesApart(this.#difference(step, alike, dealt!.opening, by)))
      }
      for (const region of [met, alike]) region.release()
    } else client.add(message.u8())
    if (isActive(step) && isCurve(step)) server.add(entriesAt(k, step, e!, dealt!.reply, ring))
    const next = mask(step.index + 1)
    const drawn = draw({ k, ch: this.#ch, next, mask, inference, ring }, step)
    const reply = k.memory.alloc(gadgetSizes(step, ring).reply)
    drawn.answer(message, reply, 0)
    server.add(reply.u8())
    if (isActive(step) && isQuadratic(step)) server.add(halvesApart(reply.u8().slice(0, reluSizes(step, ring).beta)))
    if (isActive(step) && isMaxPool(step)) server.add(thirdsApart(reply.u8().slice(0, maxPoolSizes(step, ring).beta)))
    if (isActive(step) && isWins(step)) server.add(halvesApart(reply.u8().slice(0, winsSizes(step, ring).beta)))
    opened.prepare?.(dealt!.reply)
    const x = opened.finish(reply, dealt!.reply, 0)
    for (const each of [opened, message, drawn, next, reply, e]) each?.release()
    return x
  }

  /** e of a step's values, in whole groups. */
  #openedWords({ relu, activation }: ReluStep, message: Region): Region {
    const e = this.#k.memory.allocZero(groupsOf(relu.opened.values) * 32)
    unpack(this.#k, message, relu.opened.values, activation.bits, e)
    return e
  }

  #relu(step: ReluStep, { c, dealt }: StepMaterial, inference: number, server: Tally, client: Tally): Region {
    const k = this.#k
    const { ring } = this.compiled.plan
    const sizes = reluSizes(step, ring)
    const material = reluMaterial(step, ring, dealt!.opening)
    const opening = drawOpening(k, step, this.#sh, material.words, inference, ring)
    const { e, a1, words, message } = openRelu(k, step, opening, c, material.tables)
    // The server can read its tables anywhere: their differences seen from e on would show what a pad leaves bare.
    if (step.relu.tested === null) {
      for (const by of [0x1111, 0x3377]) {
        server.add(this.#difference(step, e, material.tables, by))
        if (step.relu.copied)
          server.add(halvesApart(this.#difference(step, this.#unmoved(step, e), material.tables, by)))
      }
      if (step.relu.copied) server.add(selectsApart(step, e, words))
    }
    server.add(wrapsApart(step, c, words))
    client.add(message.u8().subarray(0, sizes.opened))
    client.add(this.#unpadded(step, message, inference))
    const next = tensorMask(k, this.#planned, this.#ch, step.index + 1, inference)
    const reply = k.memory.alloc(sizes.reply)
    const drawn = drawRelu(k, step, this.#ch, next, inference, ring)
    answerRelu(k, step, drawn, message, next, reply, ring)
    server.add(reply.u8())
    if (step.relu.copied) server.add(halvesApart(reply.u8().slice(0, sizes.beta)))
    const x = finishRelu(k, step, { e, a1, words }, reply, ring)
    for (const region of [e, a1, words, message, next, reply, drawn]) region.release()
    return x
  }

  /** e of a clip's copies before they are moved: the same for both. The first has no shift. */
  #unmoved({ size }: ReluStep, e: Region): Region {
    const first = e.u8().slice(0, size * 4)
    return upload(this.#k.memory, new Uint8Array([...first, ...first]))
  }

  #difference({ relu, activation }: ReluStep, e: Region, tables: Region, by: number): Uint8Array {
    const k = this.#k
    const moved = upload(
      k.memory,
      e.u32().map((word) => (word + by) & (2 ** chainOf(activation).bits - 1)),
    )
    const out = [e, moved].map((at) => {
      const rows = k.memory.alloc(rowBytes(chainOf(activation).chunks, relu.comparisons))
      readRows(k, chainOf(activation), relu.comparisons, at, tables, rows)
      const bytes = rows.u8().slice()
      rows.release()
      return bytes
    })
    moved.release()
    return out[0].map((byte, i) => byte ^ out[1][i])
  }

  /**
   * The rows as the client reads them: its pads are taken off. Only where values are tested themselves.
   * @param of what is compared, if it is not the values
   */
  #unpadded(step: ReluStep, message: Region, inference: number, of?: Region): Uint8Array {
    const { relu, activation, index } = step
    const k = this.#k
    const { ring } = this.compiled.plan
    const sent = message.u8().slice(reluSizes(step, ring).opened)
    if (relu.tested !== null) return sent
    const opened = of ?? this.#openedWords(step, message)
    const e = of ?? copies(k, step, opened, true)
    if (e !== opened) opened.release()
    const pads = this.#ch.take(
      { purpose: Purpose.tablePad, layer: index, inference },
      tableBytes(chainOf(activation).chunks, relu.comparisons),
    )
    const rows = k.memory.alloc(rowBytes(chainOf(activation).chunks, relu.comparisons))
    readRows(k, chainOf(activation), relu.comparisons, e, pads, rows)
    const bytes = rows.u8().map((byte, i) => byte ^ sent[i])
    for (const region of [pads, rows]) region.release()
    if (!of) e.release()
    return bytes
  }
}

/** The words of the entry that each value's table is read at: where they lie names a segment to who knows their halves. */
function entriesAt(k: Kernels, { activation, size }: CurveStep, e: Region, dealt: Region, ring: number): Uint8Array {
  const { bits, curve } = activation
  const { length } = curve.polynomials[0]
  const all = unpackLong(k, dealt, size * length * 2 ** curve.segments, ring + curve.drop)
  const words = [...e.u32().subarray(0, size)].flatMap((word, i) => {
    const entry = ((word + 2 ** (bits - 1)) & (2 ** bits - 1)) >> (bits - curve.segments)
    const from = (i * 2 ** curve.segments + entry) * length
    return [...all.u64().subarray(from, from + length)]
  })
  all.release()
  return new Uint8Array(BigUint64Array.from(words).buffer)
}
