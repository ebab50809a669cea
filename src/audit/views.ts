// What each party gets to see of private inferences, message by message, recorded where it arrives; and what a party that
// knows its own masks makes of it.
import { RingfenceError } from '../errors.js'
import { packedBytes, unpack } from '../kernels/bits.js'
import { type Kernels, loadKernels, upload } from '../kernels/instance.js'
import { groupsOf } from '../kernels/mcc.js'
import type { Architecture } from '../model/architecture.js'
import { isActivation } from '../model/layers/layers.js'
import { type Channel, HEADER_BYTES } from '../net/index.js'
import { localParties } from '../party/local/parties.js'
import type { PartyOptions } from '../party/options.js'
import type { Compiled } from '../plan/compile/compile.js'
import { inputWords } from '../plan/ends.js'
import { elementCount, type MccPlan } from '../plan/plan.js'
import { type MccMasks, runReference } from '../plan/reference/reference.js'
import { INFERENCE_BYTES } from '../protocol/control.js'
import { Kind } from '../protocol/kinds.js'
import { isActive, planLayout, type StepLayout } from '../protocol/layout.js'
import type { ViewData } from './regress.js'

/** Who sees something. */
export type Party = 'client' | 'server' | 'helper'

/** One thing that a party sees, of every inference. */
export interface View {
  readonly party: Party
  /** What it is, in words. */
  readonly name: string
  readonly data: ViewData
  /** Where it would be values of a layer (undefined: of the input) if nothing hid them: all words of the first inferences. */
  readonly values?: { readonly layer: string | undefined; readonly words: readonly Int32Array[] }
}

/** Of one inference. */
interface Seen {
  readonly party: Party
  readonly name: string
  readonly words: Uint32Array
  readonly bits: number
  readonly layer?: string | undefined
  readonly isValues: boolean
}

export interface RecordOptions {
  /** Of so many of the first inferences all words of some views are kept, to be inverted. */
  readonly kept: number
  /** Of the three parties; tests choose seeds. */
  readonly party?: PartyOptions
  readonly signal?: AbortSignal
  readonly onProgress?: (done: number) => void
}

export interface Recorded {
  readonly views: readonly View[]
  /** The answers that the client got, per picture. */
  readonly answers: readonly Float32Array[]
  /** x - r_0 with the r_0 of the last inference for all: what the server would see of a mask used again. */
  readonly reused: ViewData
}

/** Of longer messages that many are looked at, evenly spread. */
const MOST_WORDS = 2048
const MOST_BYTES = 4096

/**
 * Runs the pictures privately, with all three parties in this process.
 * @throws RingfenceError PROTOCOL where a run is not, bit for bit, what its masks make of it in plain text
 */
export async function recordViews(
  { plan, model }: Compiled<MccPlan>,
  arch: Architecture,
  inputs: readonly Float32Array[],
  { kept, party, signal, onProgress }: RecordOptions,
): Promise<Recorded> {
  const tap = new Tap()
  const parties = await localParties({ plan, model } as Compiled<MccPlan>, {
    party,
    wrap: (channel) => tap.on(channel, { in: 'client', out: 'server' }, 'server'),
    wrapHelper: (channel, peer) => tap.on(channel, { in: 'helper', out: peer }, peer),
  })
  const reader = new Reader(plan, arch)
  const all: Seen[][] = []
  const bytes: Map<string, Uint8Array>[] = []
  const answers: Float32Array[] = []
  const reused: Int32Array[] = []
  try {
    for (const [i, input] of inputs.entries()) {
      signal?.throwIfAborted()
      tap.clear()
      await parties.client.prepare(1, { signal })
      const { inference, raw, logits } = await parties.client.run(input, { signal })
      const masks = cached(parties.masks(inference))
      const words = inputWords(plan, input)
      const { output, tensors } = runReference(plan, model, words, masks)
      if (output.some((word, i) => word !== raw[i])) {
        throw new RingfenceError('PROTOCOL', `inference ${i + 1} is not what its masks make of it in plain text`)
      }
      const seen = reader.read(tap.messages, masks, tensors!)
      all.push(seen.map((one) => (i < kept && one.isValues ? one : { ...one, words: some(one.words, MOST_WORDS) })))
      bytes.push(new Map([...tap.messages].map(([key, message]) => [key, some(message, MOST_BYTES)])))
      answers.push(Float32Array.from(logits))
      if (i === inputs.length - 1) {
        const mask = masks.tensor(0)
        reused.push(
          ...inputs.map((one) =>
            some(
              inputWords(plan, one).map((word, i) => word - mask[i]),
              MOST_WORDS,
            ),
          ),
        )
      }
      onProgress?.(i + 1)
    }
  } finally {
    await parties.release()
  }
  return {
    views: [...wordViews(all, kept), ...byteViews(bytes)],
    answers,
    reused: { words: reused, bits: plan.ring },
  }
}

function wordViews(all: readonly (readonly Seen[])[], kept: number): View[] {
  return all[0].map(({ party, name, bits, layer, isValues }, v) => {
    const words = all.map((seen) => Int32Array.from(some(seen[v].words, MOST_WORDS)))
    const up = 32 - bits
    const whole = all.slice(0, kept).map((seen) => Int32Array.from(seen[v].words, (word) => (word << up) >> up))
    return { party, name, data: { words, bits }, ...(isValues && { values: { layer, words: whole } }) }
  })
}

/** All that a party received, as bits. */
function byteViews(bytes: readonly ReadonlyMap<string, Uint8Array>[]): View[] {
  const [first] = bytes
  const keys = [...first.keys()].sort()
  const isSteady = (key: string) => bytes.every((one) => one.get(key)?.length === first.get(key)!.length)
  return (['client', 'server', 'helper'] as const).map((party) => {
    const own = keys.filter((key) => key.startsWith(`${party} `) && isSteady(key))
    const all = bytes.map((one) => joined(own.map((key) => one.get(key)!)))
    return { party, name: 'all messages, as bits', data: { bytes: all } }
  })
}

/** Messages of one inference by who received them, from whom, kind and step; pieces one after another. */
class Tap {
  readonly messages = new Map<string, Uint8Array>()

  clear(): void {
    this.messages.clear()
  }

  on(channel: Channel, ends: { in: Party; out: Party }, peer: Party): Channel {
    const see = (receiver: Party, sender: Party, message: Uint8Array) => {
      const [kind, step] = [message[4], message[6] + 256 * message[7]]
      const key = keyOf(receiver, sender, kind, step)
      const before = this.messages.get(key)
      const payload = message.slice(HEADER_BYTES)
      this.messages.set(key, before ? joined([before, payload]) : payload)
    }
    const self = ends.in
    return {
      send(message) {
        see(ends.out, self, message)
        channel.send(message)
      },
      async receive(options) {
        const message = await channel.receive(options)
        see(self, peer, message)
        return message
      },
      drained: () => channel.drained(),
      close: (reason) => channel.close(reason),
      closed: channel.closed,
    }
  }
}

const keyOf = (receiver: Party, sender: Party, kind: number, step: number): string =>
  `${receiver} ${sender} ${kind} ${step}`

/** Every mask is derived once. */
function cached(masks: MccMasks): MccMasks {
  const known = new Map<string, Uint32Array>()
  const once = (name: 'output' | 'opening' | 'tensor' | 'product' | 'fresh') => (index: number) => {
    const key = `${name} ${index}`
    const words = known.get(key) ?? masks[name](index)
    known.set(key, words)
    return words
  }
  const { curve } = masks
  const [output, opening, tensor] = [once('output'), once('opening'), once('tensor')]
  return { output, opening, tensor, product: once('product'), fresh: once('fresh'), curve }
}

/** Finds the words in messages. */
class Reader {
  readonly #k: Kernels = loadKernels()
  readonly #steps: readonly StepLayout<NonNullable<MccPlan['steps'][number]['activation']>>[]
  /** The step whose views are inverted: the first with an activation, as the deeper a value lies the less it says. */
  readonly #first: number

  constructor(
    readonly plan: MccPlan,
    readonly arch: Architecture,
  ) {
    this.#steps = planLayout(plan).steps
    this.#first = this.#steps.findIndex(isActive)
  }

  read(messages: ReadonlyMap<string, Uint8Array>, masks: MccMasks, tensors: readonly Int32Array[]): Seen[] {
    const { ring } = this.plan
    const message = (to: Party, from: Party, kind: number, step: number) => messages.get(keyOf(to, from, kind, step))!
    const input = message('server', 'client', Kind.input, 0).subarray(INFERENCE_BYTES)
    const count = elementCount(this.plan.input.shape)
    const seen: Seen[] = [
      { party: 'server', name: 'x̂ of the input', words: this.#words(input, count, ring), bits: ring, isValues: true },
    ]
    for (const step of this.#steps) {
      const { index, size, product } = step
      const { id } = step.step
      const inverted = index === this.#first
      const before = this.#before(id)
      const add = (party: Party, what: string, words: Uint32Array, bits: number, layer: string | undefined) => {
        const isValues = inverted && layer !== undefined && words.length === this.#sizeOf(layer)
        seen.push({ party, name: `${what} of ${id}`, words, bits, layer, isValues })
      }
      if (!product) {
        const linear = (from: Party, kind: number) => this.#words(message('server', from, kind, index), size, ring)
        add('server', 'u', linear('helper', Kind.material), ring, before)
        add('server', 'δ', linear('client', Kind.delta), ring, before)
      }
      if (isActive(step)) {
        const { relu, activation } = step
        const { bits, truncate } = activation
        const low = bits === 32 ? -1 : 2 ** bits - 1
        const opened = relu.opened.values + relu.opened.patches
        const e = this.#words(message('client', 'server', Kind.opening, index), opened, bits)
        const a = masks.opening(index)
        add('client', 'opening', e, bits, before)
        // What the other two make of it with the masks that they know.
        add(
          'server',
          'ŷ',
          e.map((word, i) => (word + a[i]) & low),
          bits,
          before,
        )
        if (relu.inOrder && relu.opened.patches === 0 && opened === size) {
          const m = masks.output(index)
          add(
            'client',
            'opening and m',
            e.map((word, i) => (word + (m[i] >>> truncate)) & low),
            bits,
            before,
          )
        }
        const reply = message('server', 'client', Kind.reply, index).subarray(groupsOf(relu.comparisons))
        const inOrder = relu.inOrder && relu.results === tensors[index + 1].length
        add('server', 'reply', this.#words(reply, relu.results, ring), ring, inOrder ? id : undefined)
        const r = masks.tensor(index + 1)
        const held = Uint32Array.from(tensors[index + 1], (word, i) => word - r[i])
        add('server', 'x̂', held, ring, id)
      }
    }
    const last = this.#steps[this.#steps.length - 1]
    const output = this.#words(message('client', 'server', Kind.output, last.index), last.size, ring)
    seen.push({ party: 'client', name: 'output', words: output, bits: ring, isValues: false })
    return seen
  }

  /** The layer whose value a step compares. */
  #before(id: string): string | undefined {
    const layer = this.arch.byId.get(id)
    if (!layer) return undefined
    return isActivation(layer) ? layer.in[0] : id
  }

  #sizeOf(layer: string): number {
    const found = this.arch.byId.get(layer)
    return found ? elementCount(found.out) : -1
  }

  #words(bytes: Uint8Array, count: number, bits: number): Uint32Array {
    const packed = upload(this.#k.memory, bytes.slice(0, packedBytes(count, bits)))
    const words = this.#k.memory.alloc(count * 4)
    unpack(this.#k, packed, count, bits, words)
    const copy = words.u32().slice()
    packed.release()
    words.release()
    return copy
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** At most `most` of a list, evenly spread. */
function some<T extends Uint8Array | Uint32Array | Int32Array>(list: T, most: number): T {
  if (list.length <= most) return list
  const picked = list.slice(0, most)
  for (let i = 0; i < most; i++) picked[i] = list[Math.floor((i * list.length) / most)]
  return picked as T
}
